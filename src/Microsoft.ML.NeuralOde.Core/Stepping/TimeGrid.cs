namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// The output times: numbers for the step control, and, where derivatives with respect to them are wanted, tensors.
/// </summary>
/// <remarks>
/// Steps depend on the output times through a map that is linear between neighbours: a step's end keeps its relative place between the two
/// output times around it. That makes the discrete solution a differentiable function of every time, and freezes the step control,
/// whose choices carry no derivative.
/// </remarks>
internal sealed class TimeGrid
{
    private readonly Tensor[]? _tracked;

    private TimeGrid(double[] values, Tensor[]? tracked)
    {
        Values = values;
        _tracked = tracked;
        Direction = values.Length < 2 || values[^1] > values[0] ? 1 : -1;
    }

    public double[] Values { get; }

    public int Count => Values.Length;

    public double Start => Values[0];

    public double End => Values[^1];

    /// <summary>+1 where time increases, −1 where it decreases.</summary>
    public int Direction { get; }

    /// <summary>Whether times enter the graph as tensors.</summary>
    public bool IsTracked => _tracked is not null;

    /// <exception cref="ArgumentException">The times are not a strictly monotone, finite list.</exception>
    public static TimeGrid Create(Tensor times)
    {
        Inputs.RequireAlive(times, nameof(times), "The tensor of times");
        if (times.dim() != 1 || !times.is_floating_point())
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; "
                + "they must be a one-dimensional floating-point tensor.", nameof(times));
        using Tensor detached = times.detach();
        using Tensor copy = detached.to(ScalarType.Float64, CPU);
        double[] values = copy.data<double>().ToArray();
        Check(values, nameof(times));
        return new TimeGrid(values, null);
    }

    /// <exception cref="ArgumentException">The times are not a strictly monotone, finite list.</exception>
    public static TimeGrid Of(params double[] values) => Of(values, nameof(values));

    /// <param name="values">The times.</param>
    /// <param name="parameter">The argument that they are.</param>
    /// <exception cref="ArgumentException">The times are not a strictly monotone, finite list.</exception>
    public static TimeGrid Of(double[] values, string parameter)
    {
        Check(values, parameter);
        return new TimeGrid(values, null);
    }

    /// <summary>The same grid with tensors that carry derivatives.</summary>
    public TimeGrid Track(Tensor times, ScalarType type, Device device)
    {
        using Tensor converted = times.to(type, device);
        return new TimeGrid(Values, converted.unbind(0));
    }

    /// <summary>The same grid with these tensors, one a time.</summary>
    public TimeGrid Track(Tensor[] times) => new(Values, times);

    private static void Check(ReadOnlySpan<double> values, string parameter)
    {
        if (values.Length < 1)
            throw new ArgumentException("No output time is given; at least the start is needed.", parameter);
        for (int i = 0; i < values.Length; i++)
        {
            if (!double.IsFinite(values[i]))
                throw new ArgumentException($"Output time {i} is {values[i]}; times must be finite.", parameter);
            if (i > 1 && Math.Sign(values[i] - values[i - 1]) != Math.Sign(values[1] - values[0]))
                throw new ArgumentException(
                    $"Output times must strictly increase or strictly decrease; time {i} is {values[i]} after {values[i - 1]}.", parameter);
        }
        if (values.Length > 1 && values[1] == values[0])
            throw new ArgumentException(
                $"Output times must strictly increase or strictly decrease; times 0 and 1 are both {values[0]}.", parameter);
    }

    /// <summary>A time as a tensor that depends on the output times.</summary>
    public Tensor At(double time)
    {
        (int segment, double fraction) = Locate(time);
        if (fraction == 0)
            return _tracked![segment].alias();
        using Tensor difference = _tracked![segment + 1] - _tracked[segment];
        using Tensor part = difference.Times(fraction);
        return _tracked[segment].Plus(part);
    }

    /// <summary>The output time nearest to the middle of a stretch, if one lies inside it.</summary>
    public double? OutputInside(double start, double end)
    {
        double middle = (start + end) / 2;
        int before = Locate(middle).Segment;
        double best = double.NaN;
        for (int i = before; i <= Math.Min(before + 1, Count - 1); i++)
        {
            double time = Values[i];
            if ((time - start) * (end - time) > 0 && !(Math.Abs(time - middle) >= Math.Abs(best - middle)))
                best = time;
        }
        return double.IsNaN(best) ? null : best;
    }

    /// <summary>
    /// The output times around a time, and the place between them: time = (1 − fraction) values[i] + fraction values[i + 1].
    /// </summary>
    public (int Segment, double Fraction) Locate(double time)
    {
        if (Count == 1)
            return (0, 0);
        int low = 0;
        int high = Count - 2;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if ((Values[middle] - time) * Direction <= 0)
                low = middle;
            else
                high = middle - 1;
        }
        double fraction = (time - Values[low]) / (Values[low + 1] - Values[low]);
        return (low, fraction);
    }
}
