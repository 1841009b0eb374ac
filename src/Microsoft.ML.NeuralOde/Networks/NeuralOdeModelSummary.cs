using System.Globalization;
using System.Text;

namespace Microsoft.ML.NeuralOde;

/// <summary>A model's structure: its layers, its weights, and how its equation is solved.</summary>
/// <param name="Layers">The layers in the order in which features go through them.</param>
/// <param name="Solver">The numerical method's name, see <see cref="OdeMethod.Parse"/>; empty where no equation is solved, and what is said
/// of its solution has no meaning.</param>
/// <param name="RelativeTolerance">rtol of the solver.</param>
/// <param name="AbsoluteTolerance">atol of the solver.</param>
/// <param name="StepSize">The solver's step size where it makes equal steps; null where the error sets them, or for one step.</param>
/// <param name="EndTime">The equation is solved on [0, EndTime].</param>
public sealed record NeuralOdeModelSummary(
    IReadOnlyList<NeuralOdeLayerSummary> Layers, string Solver, double RelativeTolerance, double AbsoluteTolerance, double? StepSize,
    double EndTime)
{
    /// <summary>The number of weights.</summary>
    public long ParameterCount => Layers.Sum(layer => layer.ParameterCount);

    /// <summary>The summary as a table.</summary>
    /// <returns>One line a layer, and two about all of them.</returns>
    public override string ToString()
    {
        int names = Layers.Max(layer => layer.Name.Length), kinds = Layers.Max(layer => layer.Description.Length);
        var text = new StringBuilder();
        foreach (NeuralOdeLayerSummary layer in Layers)
            text.AppendLine(string.Create(CultureInfo.InvariantCulture,
                $"{layer.Name.PadRight(names)}  {layer.Description.PadRight(kinds)}  {layer.ParameterCount,12:N0}"));
        text.AppendLine(
            string.Create(CultureInfo.InvariantCulture, $"{"weights".PadRight(names)}  {"".PadRight(kinds)}  {ParameterCount,12:N0}"));
        if (Solver.Length == 0)
            return text.Append("no equation is solved").ToString();
        string steps = StepSize is { } size
            ? $"steps of {size.ToString(CultureInfo.InvariantCulture)}"
            : $"rtol {RelativeTolerance.ToString(CultureInfo.InvariantCulture)}, "
                + $"atol {AbsoluteTolerance.ToString(CultureInfo.InvariantCulture)}";
        return text.Append(CultureInfo.InvariantCulture, $"solver {Solver} on [0, {EndTime}], {steps}").ToString();
    }
}

/// <summary>A layer of a model.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it does, with its sizes.</param>
/// <param name="ParameterCount">The number of its weights.</param>
public sealed record NeuralOdeLayerSummary(string Name, string Description, long ParameterCount);
