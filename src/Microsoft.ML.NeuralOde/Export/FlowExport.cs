using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Density;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>Writes flows as operators, and the columns that densities and anomaly detectors make of them.</summary>
internal static class FlowExport
{
    /// <summary>From u, as a flow's blocks see it, to z <c>[batch, features]</c> and log p <c>[batch]</c>.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="flow">The flow.</param>
    /// <param name="u">The standardised data.</param>
    /// <param name="logScale">The logarithm of the determinant of what made u of the data.</param>
    /// <param name="stepSize">The size of the solver's steps; null for the flow's own.</param>
    /// <exception cref="NotSupportedException">The flow cannot be written; the message names what stands in the way.</exception>
    public static (string Latent, string LogDensity) Encode(OperatorGraph graph, ContinuousFlow flow, string u, double logScale, double? stepSize)
    {
        if (flow.Conditions > 0)
            throw new NotSupportedException($"The flow has {flow.Conditions} conditions; such flows cannot be exported to ONNX.");
        if (flow.Base is not StandardNormalBase)
            throw new NotSupportedException($"The flow's base distribution is {flow.Base.GetType().Name}; only {nameof(StandardNormalBase)} can be exported to ONNX.");
        string z = u;
        string trace = graph.Sum(graph.Add("Mul", [z, graph.Scalar("zero", 0)]), [1], keepDimensions: false);
        foreach (nn.Module<Tensor, Tensor, Tensor> dynamics in flow.Blocks)
        {
            string[] end = OdeExport.Write(graph, RateExport.WithTrace(graph, dynamics), 1, flow.Options.EvaluationSolver ?? flow.Options.Solver, stepSize, z, trace);
            (z, trace) = (end[0], end[1]);
        }
        string exponent = graph.Add("Mul", [SquaredNorm(graph, z), graph.Scalar("half", -0.5f)]);
        string normalizer = graph.Scalar("normalizer", (float)(-0.5 * Math.Log(2 * Math.PI) * flow.Features + logScale));
        return (z, graph.Add("Add", [graph.Add("Add", [trace, exponent]), normalizer]));
    }

    /// <summary>The columns of a density.</summary>
    public static void Density(OperatorGraph graph, FlowNetwork network, DensityOutput columns, string features, Func<string, string> output)
    {
        using IDisposable noGrad = no_grad();
        (string u, string incomplete, double logScale) = Standardize(graph, network, features);
        (string latent, string logDensity) = columns.Latent is null ? (u, Mixture(graph, network, u, logScale)) : Encode(graph, network.Flows[0], u, logScale, null);
        string column = graph.Add("Add", [graph.Unsqueeze(logDensity, 1), incomplete], output(columns.LogDensity));
        if (columns.BitsPerDimension is { } bits)
            graph.Add("Div", [column, graph.Scalar("dimensions", (float)(-Math.Log(2) * network.Description.FeatureCount))], output(bits));
        if (columns.Latent is { } name)
            graph.Add("Add", [latent, incomplete], output(name));
    }

    /// <summary>The columns of an anomaly detector.</summary>
    public static void Anomaly(OperatorGraph graph, FlowNetwork network, AnomalyOutput columns, string features, Func<string, string> output)
    {
        if (columns.MissingValues == MissingValueHandling.Refuse)
            throw new NotSupportedException("The detector refuses rows with missing values, which ONNX cannot; train with another value of MissingValues.");
        using IDisposable noGrad = no_grad();
        (string u, string incomplete, double logScale) = Standardize(graph, network, features);
        int flows = network.Flows.Count;
        string? logDensities = null, squares = null;
        foreach (ContinuousFlow flow in network.Flows)
        {
            (string z, string logDensity) = Encode(graph, flow, u, 0, null);
            logDensities = logDensities is null ? logDensity : graph.Add("Add", [logDensities, logDensity]);
            squares = squares is null ? SquaredNorm(graph, z) : graph.Add("Add", [squares, SquaredNorm(graph, z)]);
        }
        string surprise = graph.Add("Sub", [graph.Scalar("scale", (float)-logScale), graph.Add("Div", [logDensities!, graph.Scalar("flows", flows)])]);
        string score = surprise;
        if (columns.Scale is { } scale)
        {
            string energy = Units(graph, graph.Add("Div", [squares!, graph.Scalar("flows", 2 * flows)]), scale.Latent);
            score = graph.Add("Max", [Units(graph, surprise, scale.Density), graph.Add("Sub", [energy, graph.Scalar("handicap", (float)AnomalyScale.LatentHandicap)])]);
        }
        string column = graph.Add("Add", [graph.Unsqueeze(score, 1), incomplete], output(columns.Score));
        string[] above = [column, graph.Scalar("threshold", columns.Threshold)];
        if (columns.MissingValues == MissingValueHandling.Anomaly)
            graph.Add("Or", [graph.Add("Greater", above), graph.Add("IsNaN", [column])], output(columns.PredictedLabel));
        else
            graph.Add("Greater", above, output(columns.PredictedLabel));
    }

    /// <summary>u = (x − mean) · scale within bounds, a column that is 0, but NaN for rows with values that are not finite, and log of the scales' product.</summary>
    private static (string U, string Incomplete, double LogScale) Standardize(OperatorGraph graph, FlowNetwork network, string features)
    {
        if (network.Description.ReshapedSlots is { } slots)
            throw new NotSupportedException(
                $"{slots.Length} of the features are reshaped before the flow sees them, which cannot be exported to ONNX; train with Reshaping = FeatureReshaping.None.");
        (float[] mean, float[] scale) = network.FeatureStatistics();
        string incomplete = graph.Sum(graph.Add("Mul", [features, graph.Scalar("zero", 0)]), [1], keepDimensions: true);
        string centred = graph.Add("Sub", [features, graph.Constant("mean", mean, mean.Length)]);
        string u = graph.Add("Mul", [centred, graph.Constant("scale", scale, scale.Length)]);
        u = graph.Add("Min", [u, graph.Scalar("farthest", (float)FlowNetwork.FarthestStandardized)]);
        u = graph.Add("Max", [u, graph.Scalar("farthest", -(float)FlowNetwork.FarthestStandardized)]);
        return (u, incomplete, scale.Sum(value => Math.Log(value)));
    }

    private static string Mixture(OperatorGraph graph, FlowNetwork network, string u, double logScale)
    {
        string[] each = [.. network.Flows.Select(flow => Encode(graph, flow, u, logScale, null).LogDensity)];
        if (each.Length == 1)
            return each[0];
        // log Σ exp, counted from the largest, so that nothing overflows.
        string largest = graph.Add("Max", each);
        string sum = graph.Add("Sum", each.Select(one => graph.Add("Exp", [graph.Add("Sub", [one, largest])])));
        return graph.Add("Add", [largest, graph.Add("Log", [graph.Add("Div", [sum, graph.Scalar("flows", each.Length)])])]);
    }

    private static string SquaredNorm(OperatorGraph graph, string z) => graph.Sum(graph.Add("Mul", [z, z]), [1], keepDimensions: false);

    private static string Units(OperatorGraph graph, string evidence, EvidenceScale scale) =>
        graph.Add("Div", [graph.Add("Sub", [evidence, graph.Scalar("median", (float)scale.Median)]), graph.Scalar("spread", (float)scale.Spread)]);
}
