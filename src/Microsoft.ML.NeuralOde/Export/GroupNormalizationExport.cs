namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// Group normalisation of images of one size: instance normalisation of a group's channels laid side by side, since operator set 17 has no
/// other.
/// </summary>
internal sealed class GroupNormalizationExport
{
    private const float Epsilon = 1e-5f;

    private readonly string _groups, _image, _ones, _zeros;

    public GroupNormalizationExport(OperatorGraph graph, long channels, long groups, long height, long width)
    {
        _groups = graph.Constant("groups", [0, groups, -1]);
        _image = graph.Constant("image", [-1, channels, height, width]);
        _ones = GraphTensors.Write(graph, "ones", ones(groups));
        _zeros = GraphTensors.Write(graph, "zeros", zeros(groups));
    }

    /// <param name="graph">Where the operators go.</param>
    /// <param name="x">Images.</param>
    /// <param name="scale">What the normalised images are multiplied with, see <see cref="PerChannel"/>.</param>
    /// <param name="bias">What is added then.</param>
    public string Write(OperatorGraph graph, string x, string scale, string bias)
    {
        string groups = graph.Add("Reshape", [x, _groups]);
        string normal = graph.Add("InstanceNormalization", [groups, _ones, _zeros], null, OperatorGraph.Attribute("epsilon", Epsilon));
        string image = graph.Add("Reshape", [normal, _image]);
        return graph.Add("Add", [graph.Add("Mul", [image, scale]), bias]);
    }

    /// <summary>A number a channel.</summary>
    public static string PerChannel(OperatorGraph graph, string name, Tensor values)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor column = values.detach().reshape(-1, 1, 1);
        return GraphTensors.Write(graph, name, column);
    }
}
