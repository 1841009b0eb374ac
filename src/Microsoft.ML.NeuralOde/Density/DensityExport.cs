using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;

namespace Microsoft.ML.NeuralOde.Density;

/// <summary>Writes a density as operators.</summary>
internal static class DensityExport
{
    /// <summary>The columns of a density.</summary>
    public static void Write(OperatorGraph graph, FlowNetwork network, DensityOutput columns, string features, Func<string, string> output)
    {
        using IDisposable noGrad = no_grad();
        (string u, string incomplete, double logScale) = FlowNetworkExport.Standardize(graph, network, features);
        (string latent, string logDensity) = columns.Latent is null
            ? (u, FlowNetworkExport.Mixture(graph, network, u, logScale))
            : FlowExport.Encode(graph, network.Flows[0], u, logScale, null);
        string column = graph.Add("Add", [graph.Unsqueeze(logDensity, 1), incomplete], output(columns.LogDensity));
        if (columns.BitsPerDimension is { } bits)
            graph.Add("Div", [column, graph.Scalar("dimensions", (float)(-Math.Log(2) * network.Description.FeatureCount))], output(bits));
        if (columns.Latent is { } name)
            graph.Add("Add", [latent, incomplete], output(name));
    }
}
