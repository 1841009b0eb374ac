namespace Microsoft.ML.NeuralOde.Paths;

/// <summary>The values of a batch of series, with what was not observed filled in.</summary>
internal sealed class ObservedValues
{
    private readonly Tensor _times;
    private readonly bool _isComplete;

    /// <summary>Works in the current dispose scope.</summary>
    public ObservedValues(SeriesBatch series)
    {
        _times = series.Times;
        Observed = series.Values.detach().isnan().logical_not();
        if (!series.IsFull)
            Observed = Observed.logical_and(series.Present().unsqueeze(2));
        _isComplete = Observed.all().item<bool>();
        Places = Numbers.Range(series.Longest, ScalarType.Int64, series.Values.device).reshape(1, -1, 1).expand(Observed.shape);
        Clean = _isComplete ? series.Values : where(Observed, series.Values, zeros_like(series.Values.detach()));
    }

    /// <summary>Which values were observed, <c>[batch, length, channels]</c>.</summary>
    public Tensor Observed { get; }

    /// <summary>The values, 0 where there are none.</summary>
    public Tensor Clean { get; }

    /// <summary>0, 1, … along each row, <c>[batch, length, channels]</c>.</summary>
    public Tensor Places { get; }

    /// <summary>How often each channel was observed up to each time, <c>[batch, length, channels]</c>.</summary>
    public Tensor Counts(ScalarType type) => Observed.to(type).cumsum(1);

    /// <summary>Missing values are the last ones, 0 before the first.</summary>
    public Tensor Held()
    {
        if (_isComplete)
            return Clean;
        Tensor before = Before();
        return Clean.gather(1, before.Within(0, Clean.size(1))) * before.ge(Numbers.Zero).to(Clean.dtype);
    }

    /// <summary>Missing values lie between those around them in time.</summary>
    public Tensor Between()
    {
        if (_isComplete)
            return Clean;
        (Tensor before, Tensor after) = Around();
        Tensor times = _times.unsqueeze(2).expand(Clean.shape);
        Tensor from = times.gather(1, before);
        Tensor duration = times.gather(1, after) - from;
        Tensor none = duration.detach().eq(Numbers.Zero);
        Tensor fraction = ((times - from) / where(none, ones_like(duration.detach()), duration)).to(Clean.dtype);
        Tensor start = Clean.gather(1, before);
        Tensor difference = (Clean.gather(1, after) - start) * where(none, zeros_like(fraction.detach()), fraction);
        return start.Plus(difference);
    }

    /// <summary>The places of the last observation up to each place and of the next from there: the same where there is only one.</summary>
    public (Tensor Before, Tensor After) Around()
    {
        long length = Clean.size(1);
        Tensor before = Before();
        Tensor after = where(Observed, Places, Places.Filled(length)).flip(1).cummin(1).values.flip(1);
        Tensor first = where(before.lt(Numbers.Zero), after, before);
        Tensor last = where(after.ge(Places.Filled(length)), before, after);
        // A channel without any observation points outside: its values are 0 everywhere.
        return (first.Within(0, length - 1), last.Within(0, length - 1));
    }

    private Tensor Before() => where(Observed, Places, Places.Filled(-1)).cummax(1).values;
}
