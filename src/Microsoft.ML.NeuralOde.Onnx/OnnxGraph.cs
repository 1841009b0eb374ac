using Google.Protobuf;
using Onnx;

namespace Microsoft.ML.NeuralOde.OnnxExport;

/// <summary>Builds an ONNX graph node by node. Results are names; a name is given once.</summary>
internal sealed class OnnxGraph
{
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

    /// <summary>A graph inside, such as a loop's body, which sees the results of this one.</summary>
    public OnnxGraph Inner(string name) => new(name, this);

    /// <summary>A name that no other result has.</summary>
    public string Name(string hint) => _outer is null ? $"{hint}_{_names++}" : _outer.Name(hint);

    /// <summary>Adds a node with one result.</summary>
    public string Add(string operation, IEnumerable<string> inputs, string? output = null, params AttributeProto[] attributes)
    {
        output ??= Name(operation.ToLowerInvariant());
        var node = new NodeProto { OpType = operation, Name = output };
        node.Input.AddRange(inputs);
        node.Output.Add(output);
        node.Attribute.AddRange(attributes);
        _graph.Node.Add(node);
        return output;
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

    public string Scalar(string hint, float value) => Constant(hint, [value]);

    public string Constant(string hint, long value)
    {
        TensorProto tensor = Tensor(hint, TensorProto.Types.DataType.Int64, []);
        tensor.Int64Data.Add(value);
        return tensor.Name;
    }

    public void Input(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Input.Add(Value(name, type, shape));

    public void Output(string name, TensorProto.Types.DataType type, params string[] shape) => _graph.Output.Add(Value(name, type, shape));

    public static AttributeProto Attribute(string name, long value) => new() { Name = name, I = value, Type = AttributeProto.Types.AttributeType.Int };

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
