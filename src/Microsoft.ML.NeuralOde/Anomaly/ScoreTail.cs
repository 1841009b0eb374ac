namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>How many of the training rows are anomalies, seen by the scores alone.</summary>
/// <remarks>
/// Above its median the score of normal rows falls off exponentially, or faster: −log p of a density with exponential or with power-law
/// tails does so exactly. The rate is read off between the median and the third quartile, where anomalies move little, and what lies
/// beyond the score that 0.1 normal rows are expected to exceed is an anomaly: of ten tables without anomalies about one gives an alarm.
/// Without these rows the rate is read off once more, until no more are found.
/// </remarks>
internal static class ScoreTail
{
    private const double ExpectedAlarms = 0.1;

    /// <summary>The share of anomalies; 0 where no score stands out.</summary>
    /// <param name="sorted">Scores in rising order.</param>
    public static double Contamination(ReadOnlySpan<float> sorted)
    {
        int normal = sorted.Length;
        while (true)
        {
            double median = At(sorted, 0.5 * (normal - 1)), quartile = At(sorted, 0.75 * (normal - 1));
            // The upper half falls to a quarter from the one to the other: ln 2 of the scale of an exponential.
            double scale = (quartile - median) / Math.Log(2);
            double limit = median + scale * Math.Log(0.5 * normal / ExpectedAlarms);
            int found = normal;
            while (found > 0 && sorted[found - 1] > limit)
                found--;
            // Half of the rows are not anomalies, whatever they look like.
            if (found == normal || !(scale > 0) || 2 * found <= sorted.Length)
                return 1 - (double)normal / sorted.Length;
            normal = found;
        }
    }

    private static double At(ReadOnlySpan<float> sorted, double place)
    {
        int below = (int)place;
        double share = place - below;
        return share == 0 ? sorted[below] : (1 - share) * sorted[below] + share * sorted[below + 1];
    }
}
