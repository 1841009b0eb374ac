namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>A place in a series at which a forecast is made, and what came then.</summary>
/// <param name="Series">The series.</param>
/// <param name="End">The first place that is not known.</param>
internal readonly record struct ForecastWindow(ObservedSeries Series, int End)
{
    /// <summary>What is known; null where it is too little.</summary>
    public ContextView? Context(int length) => ContextView.Of(Series, End, length);

    /// <summary>
    /// What came at a number of steps behind the end of each channel, in units of the window: between two observations that are no further
    /// than usual apart on a straight line, otherwise NaN. A step's channels stand behind those of the step before.
    /// </summary>
    public double[] Targets(ContextView context, int leads)
    {
        double[] targets = new double[leads * Series.Channels];
        Array.Fill(targets, double.NaN);
        for (int channel = 0; channel < Series.Channels; channel++)
        {
            int place = Math.Max(0, End - 1);
            while (place > 0 && Series.Time(place - 1) > context.EndOf(channel))
                place--;
            for (int lead = 1; lead <= leads; lead++)
            {
                double time = context.EndOf(channel) + lead * context.Step;
                while (place < Series.Count && Series.Time(place) < time - 1e-6 * context.Step)
                    place++;
                if (place == Series.Count)
                    break;
                targets[(lead - 1) * Series.Channels + channel] =
                    context.Normalize(Between(place, channel, time, context.Step), channel);
            }
        }
        return targets;
    }

    private double Between(int right, int channel, double time, double step)
    {
        double gap = Series.Time(right) - time, value = Series.Value(right, channel);
        if (gap <= 1e-6 * step)
            return value;
        double width = Series.Time(right) - Series.Time(right - 1);
        return width > 1.5 * step ? double.NaN : value - gap / width * (value - Series.Value(right - 1, channel));
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
            if (series.IsObserved(end - 1)
                && series.CountObserved(end, Math.Min(series.Count, end + 1)) > 0 && series.LastObserved(end - 1) >= 0)
                yield return new ForecastWindow(series, end);
    }

    private static List<ForecastWindow> Thinned(List<ForecastWindow> windows, int most)
    {
        int stride = Math.Max(1, (windows.Count + most - 1) / most);
        return stride == 1 ? windows : [.. windows.Where((_, i) => i % stride == 0)];
    }
}
