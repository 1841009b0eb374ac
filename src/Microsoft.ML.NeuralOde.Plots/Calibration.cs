namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>Whether probabilities mean what they say: of the predictions made with 80 %, about 80 % should be right.</summary>
/// <remarks>
/// M. Naeini, G. Cooper and M. Hauskrecht, “Obtaining well calibrated probabilities using Bayesian binning” (AAAI 2015): predictions are
/// put into bins of equal width by their probabilities, and in each bin the mean probability is compared with the share that came true.
/// </remarks>
public sealed class Calibration
{
    private Calibration(IReadOnlyList<CalibrationBin> bins, int count, double brierScore)
    {
        Bins = bins;
        Count = count;
        BrierScore = brierScore;
    }

    /// <summary>The bins that hold predictions, from low to high.</summary>
    public IReadOnlyList<CalibrationBin> Bins { get; }

    /// <summary>The number of predictions.</summary>
    public int Count { get; }

    /// <summary>The expected calibration error, 0 to 1: the distance of probability and share, mean over the predictions.</summary>
    public double ExpectedError => Bins.Sum(bin => bin.Count * Math.Abs(bin.MeanProbability - bin.Share)) / Count;

    /// <summary>The largest of these distances over the bins, 0 to 1.</summary>
    public double LargestError => Bins.Max(bin => Math.Abs(bin.MeanProbability - bin.Share));

    /// <summary>The mean of (probability − outcome)², with 1 for what came true and 0 for what did not.</summary>
    public double BrierScore { get; }

    /// <summary>Compares probabilities with what came true.</summary>
    /// <param name="probabilities">The probability of each prediction, 0 to 1: for several classes that of the predicted one.</param>
    /// <param name="outcomes">Whether it came true.</param>
    /// <param name="bins">How many bins of equal width there are from 0 to 1.</param>
    /// <returns>The comparison.</returns>
    /// <exception cref="ArgumentException">There are no predictions, the lists differ in length, a probability is none, or there is no
    /// bin.</exception>
    public static Calibration Of(IReadOnlyList<double> probabilities, IReadOnlyList<bool> outcomes, int bins = 10)
    {
        Checks.NotEmpty(probabilities, "probabilities", nameof(probabilities));
        ArgumentNullException.ThrowIfNull(outcomes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bins);
        if (outcomes.Count != probabilities.Count)
            throw new ArgumentException(
                $"There are {outcomes.Count} outcomes for {probabilities.Count} probabilities; there must be one for each.",
                nameof(outcomes));
        if (probabilities.Any(probability => !(probability is >= 0 and <= 1)))
            throw new ArgumentException("A probability is NaN or not from 0 to 1.", nameof(probabilities));
        IReadOnlyList<CalibrationBin> filled = [.. Enumerable.Range(0, probabilities.Count)
            .GroupBy(i => Math.Min((int)(probabilities[i] * bins), bins - 1)).OrderBy(bin => bin.Key)
            .Select(bin => new CalibrationBin(
                (double)bin.Key / bins, (bin.Key + 1.0) / bins, bin.Count(), bin.Average(i => probabilities[i]),
                bin.Average(i => outcomes[i] ? 1.0 : 0)))];
        double brier = Enumerable.Range(0, probabilities.Count).Average(i => Math.Pow(probabilities[i] - (outcomes[i] ? 1 : 0), 2));
        return new Calibration(filled, probabilities.Count, brier);
    }
}

/// <summary>Predictions of about the same probability.</summary>
/// <param name="From">The least probability of the bin.</param>
/// <param name="To">Its upper end.</param>
/// <param name="Count">The number of predictions, at least one.</param>
/// <param name="MeanProbability">The mean of their probabilities.</param>
/// <param name="Share">The share of them that came true.</param>
public sealed record CalibrationBin(double From, double To, int Count, double MeanProbability, double Share);
