namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The end of a series as forecasts see it: counted from its last observed value, in units of its own step and spread.</summary>
/// <remarks>Level and spread of what comes are those of what was: a forecaster of such windows continues what it has never seen, such as
/// higher values than any in training.</remarks>
internal sealed class ContextView
{
    private readonly ObservedSeries _series;
    private readonly int _first, _last;

    private ContextView(ObservedSeries series, int first, int last)
    {
        (_series, _first, _last) = (series, first, last);
        Level = series.Value(last);
        End = series.Time(last);
        Step = MedianStep();
        Scale = Spread();
    }

    /// <summary>The last observed value.</summary>
    public double Level { get; }

    /// <summary>Its time.</summary>
    public double End { get; }

    /// <summary>The usual distance of observations in time.</summary>
    public double Step { get; }

    /// <summary>The standard deviation of the values; 1 where all are equal.</summary>
    public double Scale { get; }

    /// <summary>The number of observations.</summary>
    public int Length => _last - _first + 1;

    /// <summary>What is known in front of a place; null where fewer than two values are.</summary>
    /// <param name="series">The series.</param>
    /// <param name="end">The place.</param>
    /// <param name="length">The observations that are looked at, at most.</param>
    public static ContextView? Of(ObservedSeries series, int end, int length)
    {
        int last = series.LastObserved(end);
        int first = Math.Max(0, last - length + 1);
        return last >= 0 && series.CountObserved(first, last + 1) > 1 ? new ContextView(series, first, last) : null;
    }

    /// <summary>How many steps a time lies behind the end.</summary>
    public double Lead(double time) => (time - End) / Step;

    /// <summary>A value in the window's units.</summary>
    public double Normalize(double value) => (value - Level) / Scale;

    /// <summary>The time of an observation, in steps from the end, and its value in the window's units, NaN where it is missing.</summary>
    public (double Lead, double Value) this[int place] => (Lead(_series.Time(_first + place)), Normalize(_series.Value(_first + place)));

    /// <summary>The values at 0, 1, 2, … steps before the end, by straight lines where none was observed.</summary>
    public double[] Lags(int count)
    {
        double[] lags = new double[count];
        int place = _last;
        for (int k = 0; k < count; k++)
            lags[k] = Normalize(ValueAt(End - k * Step, ref place));
        return lags;
    }

    private double ValueAt(double time, ref int right)
    {
        // The nearest observed value from the time on, and the one before it.
        while (true)
        {
            int left = _series.LastObserved(right);
            if (left < _first)
                return _series.Value(right);
            if (_series.Time(left) > time)
            {
                right = left;
                continue;
            }
            double share = Math.Clamp((time - _series.Time(left)) / (_series.Time(right) - _series.Time(left)), 0, 1);
            return _series.Value(left) + share * ((double)_series.Value(right) - _series.Value(left));
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

    private double Spread()
    {
        double sum = 0, squares = 0;
        int count = _series.CountObserved(_first, _last + 1);
        for (int i = _first; i <= _last; i++)
            sum += float.IsNaN(_series.Value(i)) ? 0 : _series.Value(i);
        for (int i = _first; i <= _last; i++)
            squares += float.IsNaN(_series.Value(i)) ? 0 : Math.Pow(_series.Value(i) - sum / count, 2);
        double spread = Math.Sqrt(squares / count);
        return spread > 0 ? spread : 1;
    }
}
