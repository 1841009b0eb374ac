namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The end of a series as forecasts see it: counted from its last observed value, in units of its own step and spread.</summary>
/// <remarks>Level and spread of what comes are those of what was: a forecaster of such windows continues what it has never seen, such as
/// higher values than any in training. Each channel has its own.</remarks>
internal sealed class ContextView
{
    /// <summary>How many steps exogenous values stay behind the last known one.</summary>
    private const double Held = 0.99;

    private readonly ObservedSeries _series;
    private readonly int _first, _last;
    private readonly double[] _levels, _scales;
    private readonly int[] _ends;

    private ContextView(ObservedSeries series, int first, int last)
    {
        (_series, _first, _last) = (series, first, last);
        _ends = [.. Enumerable.Range(0, series.Channels).Select(channel => series.LastObserved(last + 1, channel))];
        _levels = [.. _ends.Select((end, channel) => (double)series.Value(end, channel))];
        End = series.Time(last);
        Step = MedianStep();
        _scales = [.. Enumerable.Range(0, series.Channels).Select(Spread)];
    }

    public int Channels => _series.Channels;

    /// <summary>The time of the last observed value of any channel.</summary>
    public double End { get; }

    /// <summary>The usual distance of observations in time.</summary>
    public double Step { get; }

    /// <summary>The number of observations.</summary>
    public int Length => _last - _first + 1;

    /// <summary>What is known in front of a place; null where fewer than two values of a channel are.</summary>
    /// <param name="series">The series.</param>
    /// <param name="end">The place.</param>
    /// <param name="length">The observations that are looked at, at most.</param>
    public static ContextView? Of(ObservedSeries series, int end, int length) =>
        FindUnknown(series, end, length) is null ? new ContextView(series, First(series, end, length), series.LastObserved(end)) : null;

    /// <summary>The channel of which too little is known for a forecast; null for none.</summary>
    public static int? FindUnknown(ObservedSeries series, int end, int length)
    {
        int last = series.LastObserved(end), first = First(series, end, length);
        for (int channel = 0; channel < series.Channels; channel++)
            if (last < 0 || series.CountObserved(first, last + 1, channel) < 2)
                return channel;
        return null;
    }

    /// <summary>The last observed value.</summary>
    public double Level(int channel) => _levels[channel];

    /// <summary>The standard deviation of the values; 1 where all are equal.</summary>
    public double Scale(int channel) => _scales[channel];

    /// <summary>The time of a channel's last observed value, from which its forecast goes on.</summary>
    public double EndOf(int channel) => _series.Time(_ends[channel]);

    /// <summary>How many steps a time lies behind the end.</summary>
    public double Lead(double time) => (time - End) / Step;

    /// <summary>How many steps a time lies behind the end of a channel.</summary>
    public double Lead(double time, int channel) => (time - EndOf(channel)) / Step;

    /// <summary>A value in the window's units.</summary>
    public double Normalize(double value, int channel) => (value - _levels[channel]) / _scales[channel];

    /// <summary>The time of an observation, in steps from the end, and its values in the window's units, NaN where one is
    /// missing.</summary>
    public (double Lead, double[] Values) this[int place] => (Lead(_series.Time(_first + place)),
        [.. Enumerable.Range(0, Channels).Select(channel => Normalize(_series.Value(_first + place, channel), channel))]);

    /// <summary>The values of a channel at 0, 1, 2, … steps before the end of another, by straight lines where none was
    /// observed.</summary>
    public double[] Lags(int count, int channel, int anchor)
    {
        double end = EndOf(anchor);
        double[] lags = new double[count];
        int place = _ends[channel];
        for (int k = 0; k < count; k++)
            lags[k] = Normalize(ValueAt(end - k * Step, channel, ref place), channel);
        return lags;
    }

    /// <summary>An exogenous value some steps behind the end, or before it; NaN where it is not known any more.</summary>
    public double Exogenous(int column, int lead) => ExogenousAt(column, End + lead * Step);

    /// <summary>The same counted from the end of a channel.</summary>
    public double Exogenous(int column, int lead, int anchor) => ExogenousAt(column, EndOf(anchor) + lead * Step);

    private static int First(ObservedSeries series, int end, int length) => Math.Max(0, series.LastObserved(end) - length + 1);

    /// <summary>What lies before the context plays no part, however much of the series is remembered.</summary>
    private double ExogenousAt(int column, double time) =>
        _series.Exogenous!.At(column, Math.Max(time, _series.Time(_first)), Held * Step);

    private double ValueAt(double time, int channel, ref int right)
    {
        if (time >= _series.Time(right))
            return _series.Value(right, channel);
        // The nearest observed value from the time on, and the one before it.
        while (true)
        {
            int left = _series.LastObserved(right, channel);
            if (left < _first)
                return _series.Value(right, channel);
            if (_series.Time(left) > time)
            {
                right = left;
                continue;
            }
            double share = Math.Clamp((time - _series.Time(left)) / (_series.Time(right) - _series.Time(left)), 0, 1);
            return _series.Value(left, channel) + share * ((double)_series.Value(right, channel) - _series.Value(left, channel));
        }
    }

    private double MedianStep()
    {
        double[] steps = new double[_last - _first];
        for (int i = 0; i < steps.Length; i++)
            steps[i] = _series.Time(_first + i + 1) - _series.Time(_first + i);
        Array.Sort(steps);
        return steps[steps.Length / 2];
    }

    private double Spread(int channel)
    {
        double sum = 0, squares = 0;
        int count = _series.CountObserved(_first, _last + 1, channel);
        for (int i = _first; i <= _last; i++)
            sum += float.IsNaN(_series.Value(i, channel)) ? 0 : _series.Value(i, channel);
        for (int i = _first; i <= _last; i++)
            squares += float.IsNaN(_series.Value(i, channel)) ? 0 : Math.Pow(_series.Value(i, channel) - sum / count, 2);
        double spread = Math.Sqrt(squares / count);
        return spread > 0 ? spread : 1;
    }
}
