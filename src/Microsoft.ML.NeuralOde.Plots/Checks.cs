namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>What figures ask of their data, and how they say so.</summary>
internal static class Checks
{
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or hold no number that can be drawn.</exception>
    public static void Curve(IReadOnlyList<double> x, IReadOnlyList<double> y, string what, string parameter)
    {
        ArgumentNullException.ThrowIfNull(x, parameter);
        ArgumentNullException.ThrowIfNull(y, parameter);
        if (x.Count != y.Count)
            throw new ArgumentException(
                $"{what} has {x.Count} places and {y.Count} values; there must be one value for each place.", parameter);
        if (x.Count == 0)
            throw new ArgumentException($"{what} is empty; there must be at least one point.", parameter);
        if (x.Any(value => !double.IsFinite(value)))
            throw new ArgumentException(
                $"{what} has a place that is NaN or infinite; places must be finite (values may be NaN: gaps).", parameter);
        if (!y.Any(double.IsFinite))
            throw new ArgumentException($"{what} has no finite value; nothing could be drawn.", parameter);
    }

    /// <exception cref="ArgumentException">A curve makes no sense, or there is none.</exception>
    public static void Curves(IReadOnlyList<Curve> curves, string parameter)
    {
        NotEmpty(curves, "curves", parameter);
        foreach (Curve curve in curves)
        {
            if (curve is null)
                throw new ArgumentException("A curve is null.", parameter);
            Curve(curve.X, curve.Y, $"The curve '{curve.Name}'", parameter);
        }
    }

    /// <exception cref="ArgumentException">The list is empty.</exception>
    public static void NotEmpty<T>(IReadOnlyCollection<T> values, string what, string parameter)
    {
        ArgumentNullException.ThrowIfNull(values, parameter);
        if (values.Count == 0)
            throw new ArgumentException($"There are no {what}; there must be at least one.", parameter);
    }
}
