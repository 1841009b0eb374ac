using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;

namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>Writes an anomaly detector as operators.</summary>
internal static class AnomalyExport
{
    /// <summary>The columns of an anomaly detector.</summary>
    public static void Write(OperatorGraph graph, FlowNetwork network, AnomalyOutput columns, string features, Func<string, string> output)
    {
        if (columns.MissingValues == MissingValueHandling.Refuse)
            throw new NotSupportedException(
                "The detector refuses rows with missing values, which ONNX cannot; train with another value of MissingValues.");
        if (columns.Contributions is { } contributions)
            throw new NotSupportedException(
                $"The column '{contributions}' of contributions cannot be written to ONNX; "
                + "export the detector that ExplainAnomalies was given.");
        if (columns.PValue is { } pValue)
            throw new NotSupportedException(
                $"The column '{pValue}' of p-values cannot be written to ONNX; export the detector that CalibrateAnomalies was given, "
                + "with ChangeModelThreshold for the threshold.");
        using IDisposable noGrad = no_grad();
        (string u, string incomplete, double logScale) = FlowNetworkExport.Standardize(graph, network, features);
        int flows = network.Flows.Count;
        string? logDensities = null, squares = null;
        foreach (ContinuousFlow flow in network.Flows)
        {
            (string z, string logDensity) = FlowExport.Encode(graph, flow, u, 0, null);
            logDensities = logDensities is null ? logDensity : graph.Add("Add", [logDensities, logDensity]);
            squares = squares is null ? FlowExport.SquaredNorm(graph, z) : graph.Add("Add", [squares, FlowExport.SquaredNorm(graph, z)]);
        }
        string surprise = graph.Add(
            "Sub", [graph.Scalar("scale", (float)-logScale), graph.Add("Div", [logDensities!, graph.Scalar("flows", flows)])]);
        string score = surprise;
        if (columns.Scale is { } scale)
        {
            string energy = Units(graph, graph.Add("Div", [squares!, graph.Scalar("flows", 2 * flows)]), scale.Latent);
            score = graph.Add("Max", [Units(graph, surprise, scale.Density),
                graph.Add("Sub", [energy, graph.Scalar("handicap", (float)AnomalyScale.LatentHandicap)])]);
        }
        string column = graph.Add("Add", [graph.Unsqueeze(score, 1), incomplete], output(columns.Score));
        string[] above = [column, graph.Scalar("threshold", columns.Threshold)];
        if (columns.MissingValues == MissingValueHandling.Anomaly)
            graph.Add("Or", [graph.Add("Greater", above), graph.Add("IsNaN", [column])], output(columns.PredictedLabel));
        else
            graph.Add("Greater", above, output(columns.PredictedLabel));
    }

    private static string Units(OperatorGraph graph, string evidence, EvidenceScale scale) =>
        graph.Add("Div",
            [graph.Add("Sub", [evidence, graph.Scalar("median", (float)scale.Median)]), graph.Scalar("spread", (float)scale.Spread)]);
}
