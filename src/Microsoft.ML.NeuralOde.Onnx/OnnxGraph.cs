using System.Reflection;
using Google.Protobuf;
using Microsoft.ML.NeuralOde.Export;
using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>A graph of operators that becomes a model of the official schema.</summary>
internal sealed class OnnxGraph : OperatorGraph
{
    private const long IrVersion = 8;
    private const long OperatorSet = 17;

    private readonly GraphProto _graph = new();
    private readonly OnnxGraph? _outer;
    private int _names;

    private OnnxGraph(string name, OnnxGraph? outer)
    {
        _graph.Name = name;
        _outer = outer;
    }

    public OnnxGraph(string name)
        : this(name, null)
    {
    }

    /// <summary>The graph as a model.</summary>
    public ModelProto ToModel()
    {
        Assembly library = typeof(OnnxGraph).Assembly;
        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = library.GetName().Name,
            ProducerVersion = library.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
            Graph = _graph,
        };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = OperatorSet });
        return model;
    }

    /// <summary>More steps than these become a loop.</summary>
    public override int MostUnrolledSteps => 8;

    protected override bool AxesAreInputs => true;

    public override string Name(string hint) => _outer is null ? $"{hint}_{_names++}" : _outer.Name(hint);

    protected override void AddNode(string operation, IEnumerable<string> inputs, string output, OperatorAttribute[] attributes) =>
        AddNode(operation, inputs, [output], attributes.Select(Convert));

    public override string[] Loop(
        long steps, string[] state, IReadOnlyList<string[]> shapes, Func<OperatorGraph, string, string[], string[]> step)
    {
        var body = new OnnxGraph("step", this);
        string iteration = Name("iteration"), condition = Name("condition");
        body.Input(iteration, TensorProto.Types.DataType.Int64);
        body.Input(condition, TensorProto.Types.DataType.Bool);
        string[] y = [.. state.Select(_ => Name("y"))];
        for (int i = 0; i < y.Length; i++)
            body.Input(y[i], TensorProto.Types.DataType.Float, shapes[i]);
        string[] next = step(body, iteration, y);
        string goesOn = body.Add("Identity", [condition]);
        body.Output(goesOn, TensorProto.Types.DataType.Bool);
        for (int i = 0; i < y.Length; i++)
            body.Output(next[i], TensorProto.Types.DataType.Float, shapes[i]);
        string[] results = [.. state.Select(_ => Name("loop"))];
        // The empty name is the missing condition: the number of steps alone ends the loop.
        var attribute = new AttributeProto { Name = "body", G = body._graph, Type = AttributeProto.Types.AttributeType.Graph };
        AddNode("Loop", [Constant("steps", steps), "", .. state], results, [attribute]);
        return results;
    }

    private void AddNode(string operation, IEnumerable<string> inputs, string[] outputs, IEnumerable<AttributeProto> attributes)
    {
        var node = new NodeProto { OpType = operation, Name = outputs[0] };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        _graph.Node.Add(node);
    }

    public override string Constant(string hint, ReadOnlySpan<float> values, params long[] shape)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Float, shape);
        // The raw form is little-endian, whatever the machine.
        var bytes = new byte[values.Length * sizeof(float)];
        for (int i = 0; i < values.Length; i++)
            System.Buffers.Binary.BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), values[i]);
        tensor.RawData = ByteString.CopyFrom(bytes);
        return tensor.Name;
    }

    public override string Constant(string hint, double[] values)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Double, [values.Length]);
        tensor.DoubleData.Add(values);
        return tensor.Name;
    }

    public override string Constant(string hint, long value) => Integers(hint, [value], []);

    public override string Constant(string hint, long[] values) => Integers(hint, values, [values.Length]);

    private string Integers(string hint, long[] values, long[] shape)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Int64, shape);
        tensor.Int64Data.Add(values);
        return tensor.Name;
    }

    public void Input(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Input.Add(Value(name, type, shape));

    public void Output(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Output.Add(Value(name, type, shape));

    private static AttributeProto Convert(OperatorAttribute attribute)
    {
        var result = new AttributeProto { Name = attribute.Name };
        switch (attribute.Value)
        {
            case long number:
                result.I = number;
                result.Type = AttributeProto.Types.AttributeType.Int;
                break;
            case float number:
                result.F = number;
                result.Type = AttributeProto.Types.AttributeType.Float;
                break;
            case long[] numbers:
                result.Ints.Add(numbers);
                result.Type = AttributeProto.Types.AttributeType.Ints;
                break;
            case Type type:
                result.I = (long)TypeOf(type);
                result.Type = AttributeProto.Types.AttributeType.Int;
                break;
            default:
                throw new ArgumentException($"There is no attribute of type {attribute.Value.GetType()}.", nameof(attribute));
        }
        return result;
    }

    private static TensorProto.Types.DataType TypeOf(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Single => TensorProto.Types.DataType.Float,
        TypeCode.Double => TensorProto.Types.DataType.Double,
        TypeCode.Int64 => TensorProto.Types.DataType.Int64,
        TypeCode.UInt32 => TensorProto.Types.DataType.Uint32,
        TypeCode.Boolean => TensorProto.Types.DataType.Bool,
        _ => throw new ArgumentException($"There is no tensor of {type}.", nameof(type)),
    };

    /// <summary>A tensor among the initializers of the outermost graph, which all inner ones see.</summary>
    private TensorProto Tensor(string hint, TensorProto.Types.DataType type, long[] shape)
    {
        if (_outer is not null)
            return _outer.Tensor(hint, type, shape);
        var tensor = new TensorProto { Name = Name(hint), DataType = (int)type };
        tensor.Dims.AddRange(shape);
        _graph.Initializer.Add(tensor);
        return tensor;
    }

    /// <summary>A dimension is a number, or the name of one that is not fixed.</summary>
    private static ValueInfoProto Value(string name, TensorProto.Types.DataType type, string[] shape)
    {
        var dimensions = new TensorShapeProto();
        foreach (string size in shape)
            dimensions.Dim.Add(long.TryParse(size, out long number)
                ? new TensorShapeProto.Types.Dimension { DimValue = number }
                : new TensorShapeProto.Types.Dimension { DimParam = size });
        return new ValueInfoProto
        {
            Name = name,
            Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type, Shape = dimensions } },
        };
    }
}
