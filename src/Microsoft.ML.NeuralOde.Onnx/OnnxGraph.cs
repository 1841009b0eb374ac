using System.Reflection;
using Google.Protobuf;
using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>Builds an ONNX graph node by node. Results are names; a name is given once.</summary>
internal sealed class OnnxGraph
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

    public GraphProto Proto => _graph;

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

    /// <summary>A graph inside, such as a loop's body, which sees the results of this one.</summary>
    public OnnxGraph Inner(string name) => new(name, this);

    /// <summary>A name that no other result has.</summary>
    public string Name(string hint) => _outer is null ? $"{hint}_{_names++}" : _outer.Name(hint);

    /// <summary>Adds a node with one result.</summary>
    public string Add(string operation, IEnumerable<string> inputs, string? output = null, params AttributeProto[] attributes) =>
        Add(operation, inputs, [output ?? Name(operation.ToLowerInvariant())], attributes)[0];

    /// <summary>Adds a node with several results.</summary>
    public string[] Add(string operation, IEnumerable<string> inputs, int outputs, params AttributeProto[] attributes) =>
        Add(operation, inputs, [.. Enumerable.Range(0, outputs).Select(_ => Name(operation.ToLowerInvariant()))], attributes);

    private string[] Add(string operation, IEnumerable<string> inputs, string[] outputs, AttributeProto[] attributes)
    {
        var node = new NodeProto { OpType = operation, Name = outputs[0] };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        _graph.Node.Add(node);
        return outputs;
    }

    public string Constant(string hint, ReadOnlySpan<float> values, params long[] shape)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Float, shape);
        // The raw form is little-endian, whatever the machine.
        var bytes = new byte[values.Length * sizeof(float)];
        for (int i = 0; i < values.Length; i++)
            System.Buffers.Binary.BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), values[i]);
        tensor.RawData = ByteString.CopyFrom(bytes);
        return tensor.Name;
    }

    /// <summary>A list of numbers in double precision.</summary>
    public string Constant(string hint, double[] values)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Double, [values.Length]);
        tensor.DoubleData.Add(values);
        return tensor.Name;
    }

    public string Scalar(string hint, float value) => Constant(hint, [value]);

    public string Constant(string hint, long value) => Integers(hint, [value], []);

    /// <summary>A list of whole numbers, such as a shape or axes.</summary>
    public string Constant(string hint, long[] values) => Integers(hint, values, [values.Length]);

    private string Integers(string hint, long[] values, long[] shape)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Int64, shape);
        tensor.Int64Data.Add(values);
        return tensor.Name;
    }

    public void Input(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Input.Add(Value(name, type, shape));

    public void Output(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Output.Add(Value(name, type, shape));

    public static AttributeProto Attribute(string name, long value) => new() { Name = name, I = value, Type = AttributeProto.Types.AttributeType.Int };

    public static AttributeProto Attribute(string name, float value) => new() { Name = name, F = value, Type = AttributeProto.Types.AttributeType.Float };

    public static AttributeProto Attribute(string name, params long[] values)
    {
        var attribute = new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Ints };
        attribute.Ints.Add(values);
        return attribute;
    }

    public static AttributeProto Attribute(string name, OnnxGraph body) => new() { Name = name, G = body.Proto, Type = AttributeProto.Types.AttributeType.Graph };

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
        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type, Shape = dimensions } } };
    }
}
