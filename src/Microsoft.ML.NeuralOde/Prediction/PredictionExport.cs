using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Networks;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>Writes a fitted model as operators: from features to the columns of its predictions.</summary>
internal static class PredictionExport
{
    /// <param name="graph">Where the operators go.</param>
    /// <param name="network">The model's network.</param>
    /// <param name="kind">What its outputs mean.</param>
    /// <param name="columns">The columns of its predictions.</param>
    /// <param name="features">The features, <c>[batch, features]</c>.</param>
    /// <param name="stepSize">The size of the solver's steps; null for the model's own.</param>
    /// <param name="output">The name that the result is to have that becomes a column.</param>
    /// <exception cref="NotSupportedException">The model cannot be written; the message names the option that stands in the
    /// way.</exception>
    public static void Write(
        OperatorGraph graph, NeuralOdeNetwork network, OutputKind kind, OutputColumns columns, string features, double? stepSize,
        Func<string, string> output)
    {
        using IDisposable noGrad = no_grad();
        string outputs = network.Export(graph, features, stepSize);
        switch (kind)
        {
            case OutputKind.Classes:
                string score = graph.Add("Softmax", [outputs], output(columns.Score), OperatorGraph.Attribute("axis", 1));
                string best =
                    graph.Add("ArgMax", [score], null, OperatorGraph.Attribute("axis", 1), OperatorGraph.Attribute("keepdims", 1));
                // Key values start at 1, as in ML.NET, and 0 is missing: the label of a row without a usable score.
                string key = graph.Add("Add", [best, graph.Constant("one", 1L)]);
                string missing = graph.Add("IsNaN", [graph.Sum(score, [1], keepDimensions: true)]);
                string label = graph.Add("Mul", [key, graph.Cast(graph.Add("Not", [missing]), typeof(long))]);
                graph.Cast(label, typeof(uint), output(columns.PredictedLabel!));
                break;
            case OutputKind.Odds:
                graph.Add("Identity", [outputs], output(columns.Score));
                graph.Add("Sigmoid", [outputs], output(columns.Probability!));
                graph.Add("Greater", [outputs, graph.Scalar("threshold", columns.Threshold)], output(columns.PredictedLabel!));
                break;
            default:
                graph.Add("Identity", [outputs], output(columns.Score));
                break;
        }
    }
}
