using Microsoft.ML.NeuralOde.Paths;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The observations of a batch in the order in which recognition reads them, without those in which no channel was
/// observed.</summary>
internal sealed class RecognitionInput
{
    /// <summary>Works in the current dispose scope.</summary>
    /// <exception cref="ArgumentException">A row has no observed value.</exception>
    public RecognitionInput(SeriesBatch series, LatentAnchor anchor, ControlPath? covariates)
    {
        var observed = new ObservedValues(series);
        Tensor isUsed = observed.Observed.any(2);
        Lengths = isUsed.sum(1);
        RequireObserved(Lengths, "observed");
        long most = Lengths.max().item<long>();
        Tensor order = Order(isUsed, anchor).narrow(1, 0, most);
        Tensor times = series.Times.gather(1, order);
        Tensor last = Lengths.Shift(-1).unsqueeze(1);
        AnchorTime = times.gather(1, last).squeeze(1);
        Present = Numbers.Range(most, ScalarType.Int64, order.device).lt(Lengths.unsqueeze(1));
        IsFull = Present.all().item<bool>();
        ScalarType type = series.Values.dtype;
        Tensor gaps = cat([zeros_like(times.narrow(1, 0, 1)), times.diff(1, 1).abs()], 1);
        // Behind a row's end times are those of what was left out.
        Gaps = where(Present, gaps, zeros_like(gaps)).to(type).unsqueeze(2);
        Tensor spread = order.unsqueeze(2).expand(order.size(0), most, series.Channels);
        Tensor values = observed.Clean.gather(1, spread), isObserved = observed.Observed.gather(1, spread);
        Level = Latest(values, isObserved);
        var parts = new List<Tensor>
        {
            values, isObserved.to(type), Gaps,
            Oscillators.Clock((times - AnchorTime.unsqueeze(1)).unsqueeze(2)).to(type),
        };
        if (covariates is not null)
            parts.Add(covariates.Evaluate(times));
        Features = cat(parts, 2);
    }

    /// <summary>Values (0 where missing), which of them there are, gaps, the time to the anchor as <see cref="Oscillators.Clock"/> shows
    /// it, covariates: shape <c>[batch, n, inputs]</c>.</summary>
    public Tensor Features { get; }

    /// <summary>The time from the observation before, 0 of the first, <c>[batch, n, 1]</c>.</summary>
    public Tensor Gaps { get; }

    /// <summary>The number of observations of each row, int64 <c>[batch]</c>.</summary>
    public Tensor Lengths { get; }

    /// <summary>Which places hold an observation, <c>[batch, n]</c>.</summary>
    public Tensor Present { get; }

    /// <summary>Whether all places do.</summary>
    public bool IsFull { get; }

    /// <summary>The time of the observation that is read last, float64 <c>[batch]</c>.</summary>
    public Tensor AnchorTime { get; }

    /// <summary>The value of each channel that is read last, 0 where there is none, <c>[batch, channels]</c>.</summary>
    public Tensor Level { get; }

    private static Tensor Latest(Tensor values, Tensor isObserved)
    {
        Tensor places = Numbers.Range(values.size(1), ScalarType.Int64, values.device).reshape(1, -1, 1).expand(values.shape);
        // Where nothing is observed all values are 0.
        Tensor last = where(isObserved, places, zeros_like(places)).amax([1L], keepdim: true);
        return values.gather(1, last).squeeze(1);
    }

    /// <summary>The places of the used observations, the one next to the anchor last, then those of the others.</summary>
    private static Tensor Order(Tensor isUsed, LatentAnchor anchor)
    {
        long length = isUsed.size(1);
        Tensor place = Numbers.Range(length, ScalarType.Int64, isUsed.device).expand(isUsed.shape);
        Tensor rank = anchor == LatentAnchor.End ? place : place.neg().Shift(length - 1);
        return where(isUsed, rank, rank.Shift(length)).argsort(1);
    }

    private static void RequireObserved(Tensor lengths, string name)
    {
        long[] counts = lengths.to(CPU).data<long>().ToArray();
        int none = Array.IndexOf(counts, 0);
        if (none >= 0)
            throw new ArgumentException(
                $"Row {none}: every value is missing; a series needs at least one observed value: leave the row out.", name);
    }
}
