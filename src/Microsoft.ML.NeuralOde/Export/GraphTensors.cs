namespace Microsoft.ML.NeuralOde.Export;

/// <summary>Weights as constants of a graph.</summary>
internal static class GraphTensors
{
    public static string Write(OperatorGraph graph, string name, Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = tensor.detach().cpu().to(ScalarType.Float32).contiguous();
        return graph.Constant(name, plain.data<float>().ToArray(), plain.shape);
    }
}
