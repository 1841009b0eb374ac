namespace Microsoft.ML.NeuralOde.Export;

/// <summary>Writes flows as operators.</summary>
internal static class FlowExport
{
    /// <summary>From u, as a flow's blocks see it, to z <c>[batch, features]</c> and log p <c>[batch]</c>.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="flow">The flow.</param>
    /// <param name="u">The standardised data.</param>
    /// <param name="logScale">The logarithm of the determinant of what made u of the data.</param>
    /// <param name="stepSize">The size of the solver's steps; null for the flow's own.</param>
    /// <exception cref="NotSupportedException">The flow cannot be written; the message names what stands in the way.</exception>
    public static (string Latent, string LogDensity) Encode(
        OperatorGraph graph, ContinuousFlow flow, string u, double logScale, double? stepSize)
    {
        if (flow.Conditions > 0)
            throw new NotSupportedException($"The flow has {flow.Conditions} conditions; such flows cannot be exported to ONNX.");
        if (flow.Base is not StandardNormalBase)
            throw new NotSupportedException(
                $"The flow's base distribution is {flow.Base.GetType().Name}; only {nameof(StandardNormalBase)} can be exported to ONNX.");
        string z = u;
        string trace = graph.Sum(graph.Add("Mul", [z, graph.Scalar("zero", 0)]), [1], keepDimensions: false);
        foreach (nn.Module<Tensor, Tensor, Tensor> dynamics in flow.Blocks)
        {
            string[] end = OdeExport.Write(
                graph, RateExport.WithTrace(graph, dynamics), 1, flow.Options.EvaluationSolver ?? flow.Options.Solver, stepSize, z, trace);
            (z, trace) = (end[0], end[1]);
        }
        string exponent = graph.Add("Mul", [SquaredNorm(graph, z), graph.Scalar("half", -0.5f)]);
        string normalizer = graph.Scalar("normalizer", (float)(-0.5 * Math.Log(2 * Math.PI) * flow.Features + logScale));
        return (z, graph.Add("Add", [graph.Add("Add", [trace, exponent]), normalizer]));
    }

    /// <summary>|z|² of each row, <c>[batch]</c>.</summary>
    public static string SquaredNorm(OperatorGraph graph, string z) => graph.Sum(graph.Add("Mul", [z, z]), [1], keepDimensions: false);
}
