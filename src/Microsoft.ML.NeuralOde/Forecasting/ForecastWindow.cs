namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>A place in a series at which a forecast is made, and what came then.</summary>
/// <param name="Series">The series.</param>
/// <param name="End">The first place that is not known.</param>
internal readonly record struct ForecastWindow(ObservedSeries Series, int End)
{
    /// <summary>What is known; null where it is too little.</summary>
    public ContextView? Context(int length) => ContextView.Of(Series, End, length);

    /// <summary>
    /// What came at a number of steps behind the end, in units of the window: between two observations that are no further than usual apart
    /// on a straight line, otherwise NaN.
    /// </summary>
    public double[] Targets(ContextView context, int leads)
    {
        double[] targets = new double[leads];
        Array.Fill(targets, double.NaN);
        int place = End;
        for (int lead = 1; lead <= leads; lead++)
        {
            double time = context.End + lead * context.Step;
            while (place < Series.Count && Series.Time(place) < time - 1e-6 * context.Step)
                place++;
            if (place == Series.Count)
                break;
            targets[lead - 1] = context.Normalize(Between(place, time, context.Step));
        }
        return targets;
    }

    private double Between(int right, double time, double step)
    {
        double gap = Series.Time(right) - time;
        if (gap <= 1e-6 * step)
            return Series.Value(right);
        double width = Series.Time(right) - Series.Time(right - 1);
        return width > 1.5 * step
            ? double.NaN : Series.Value(right) - gap / width * ((double)Series.Value(right) - Series.Value(right - 1));
    }
}

/// <summary>The windows of series: those to learn from lie in front, those to judge by at the end.</summary>
/// <param name="Training">To learn from.</param>
/// <param name="Validation">To choose and to calibrate by; their targets lie behind those of the others.</param>
internal sealed record ForecastWindows(IReadOnlyList<ForecastWindow> Training, IReadOnlyList<ForecastWindow> Validation)
{
    private const int MostValidation = 512;

    /// <summary>Parts series in time.</summary>
    /// <param name="series">The series.</param>
    /// <param name="leads">The observations behind the end of a window.</param>
    /// <param name="fraction">The share of each series, at its end, whose observations are for validation.</param>
    /// <param name="most">The windows for training, at most: then every second, third, … is taken.</param>
    public static ForecastWindows Of(IReadOnlyList<ObservedSeries> series, int leads, double fraction, int most)
    {
        var training = new List<ForecastWindow>();
        var validation = new List<ForecastWindow>();
        foreach (ObservedSeries one in series)
        {
            int held = Math.Max(leads, (int)Math.Round(one.Count * fraction));
            int border = one.Count - held;
            if (border < leads + 2)
                continue;
            training.AddRange(Cut(one, 2, border - leads));
            validation.AddRange(Cut(one, border, one.Count - leads));
        }
        return new ForecastWindows(Thinned(training, most), Thinned(validation, MostValidation));
    }

    /// <summary>Those that know enough of their series within a context of a length.</summary>
    public ForecastWindows Usable(int contextLength) => new(
        [.. Training.Where(window => window.Context(contextLength) is not null)],
        [.. Validation.Where(window => window.Context(contextLength) is not null)]);

    /// <summary>All windows of series.</summary>
    public static IReadOnlyList<ForecastWindow> All(IReadOnlyList<ObservedSeries> series, int leads) =>
        Thinned([.. series.SelectMany(one => Cut(one, 2, one.Count - leads))], MostValidation);

    /// <summary>Windows behind an observed value, with at least one value before it and one to come.</summary>
    private static IEnumerable<ForecastWindow> Cut(ObservedSeries series, int first, int last)
    {
        for (int end = first; end <= last; end++)
            if (!float.IsNaN(series.Value(end - 1))
                && series.CountObserved(end, Math.Min(series.Count, end + 1)) > 0 && series.LastObserved(end - 1) >= 0)
                yield return new ForecastWindow(series, end);
    }

    private static List<ForecastWindow> Thinned(List<ForecastWindow> windows, int most)
    {
        int stride = Math.Max(1, (windows.Count + most - 1) / most);
        return stride == 1 ? windows : [.. windows.Where((_, i) => i % stride == 0)];
    }
}
