namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>A named list of points, joined by lines.</summary>
/// <param name="Name">Its name in the legend.</param>
/// <param name="X">The places, finite.</param>
/// <param name="Y">The values, as many; NaN makes a gap.</param>
public sealed record Curve(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y)
{
    /// <summary>Whether it is there to be compared with, such as a slope: dashed and grey.</summary>
    public bool IsReference { get; init; }

    /// <summary>Whether its points stand alone, without lines between them, such as noisy observations.</summary>
    public bool IsScatter { get; init; }
}

/// <summary>What a solver made of a problem with a known solution.</summary>
/// <param name="Name">The method.</param>
/// <param name="Times">Its output times.</param>
/// <param name="Values">Its solution at these times.</param>
/// <param name="Evaluations">Evaluations of the right-hand side.</param>
/// <param name="Milliseconds">How long it took; null where it was not measured.</param>
public sealed record SolverRun(
    string Name, IReadOnlyList<double> Times, IReadOnlyList<double> Values, long Evaluations, double? Milliseconds = null);
