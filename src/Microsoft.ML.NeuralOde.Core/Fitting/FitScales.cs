namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>The units in which residuals are counted.</summary>
/// <param name="Columns">Of each column of the observations.</param>
/// <param name="Components">Of each component of the state, for the joints between segments.</param>
internal sealed record FitScales(double[] Columns, double[] Components)
{
    public static FitScales Of(IReadOnlyList<OdeTrajectory> trajectories, OdeFitOptions options, int components)
    {
        double[] deviations =
            [.. Enumerable.Range(0, trajectories[0].Values.GetLength(1)).Select(column => Deviation(Column(trajectories, column)))];
        double[] columns = options.Scales is { } given ? [.. given] : deviations;
        double[] ofState = options.Observation is null ? deviations
            : [.. Enumerable.Range(0, components).Select(i => Deviation([0, .. trajectories.Select(t => t.InitialState![i])]))];
        return new FitScales(columns, ofState);
    }

    private static double[] Column(IReadOnlyList<OdeTrajectory> trajectories, int column) =>
        [.. trajectories.SelectMany(t => Enumerable.Range(0, t.Times.Count).Select(i => t.Values[i, column]))
            .Where(value => !double.IsNaN(value))];

    /// <summary>The standard deviation; of values that do not differ their size, or 1.</summary>
    private static double Deviation(double[] values)
    {
        if (values.Length == 0)
            return 1;
        double mean = values.Average();
        double deviation = Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
        return deviation > 1e-12 * Math.Abs(mean) ? deviation : mean != 0 ? Math.Abs(mean) : 1;
    }
}
