using Microsoft.ML.NeuralOde.Export;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>Writes what flows side by side have in common as operators.</summary>
internal static class FlowNetworkExport
{
    /// <summary>
    /// u = (x − mean) · scale within bounds, a column that is 0, but NaN for rows with values that are not finite, and log of the scales'
    /// product.
    /// </summary>
    public static (string U, string Incomplete, double LogScale) Standardize(OperatorGraph graph, FlowNetwork network, string features)
    {
        if (network.Description.ReshapedSlots is { } slots)
            throw new NotSupportedException(
                $"{slots.Length} of the features are reshaped before the flow sees them, which cannot be exported to ONNX; "
                + "train with Reshaping = FeatureReshaping.None.");
        if (network.Description.Filling is not null)
            throw new NotSupportedException(
                "The model replaces missing features by medians, which cannot be exported to ONNX; train with Imputation = "
                + "FeatureImputation.None, and fill missing values in before.");
        (float[] mean, float[] scale) = network.FeatureStatistics();
        string incomplete = graph.Sum(graph.Add("Mul", [features, graph.Scalar("zero", 0)]), [1], keepDimensions: true);
        string centred = graph.Add("Sub", [features, graph.Constant("mean", mean, mean.Length)]);
        string u = graph.Add("Mul", [centred, graph.Constant("scale", scale, scale.Length)]);
        u = graph.Add("Min", [u, graph.Scalar("farthest", (float)FlowNetwork.FarthestStandardized)]);
        u = graph.Add("Max", [u, graph.Scalar("farthest", -(float)FlowNetwork.FarthestStandardized)]);
        return (u, incomplete, scale.Sum(value => Math.Log(value)));
    }

    /// <summary>log p of the flows' mixture, <c>[batch]</c>.</summary>
    public static string Mixture(OperatorGraph graph, FlowNetwork network, string u, double logScale)
    {
        string[] each = [.. network.Flows.Select(flow => FlowExport.Encode(graph, flow, u, logScale, null).LogDensity)];
        if (each.Length == 1)
            return each[0];
        // log Σ exp, counted from the largest, so that nothing overflows.
        string largest = graph.Add("Max", each);
        string sum = graph.Add("Sum", each.Select(one => graph.Add("Exp", [graph.Add("Sub", [one, largest])])));
        return graph.Add("Add", [largest, graph.Add("Log", [graph.Add("Div", [sum, graph.Scalar("flows", each.Length)])])]);
    }
}
