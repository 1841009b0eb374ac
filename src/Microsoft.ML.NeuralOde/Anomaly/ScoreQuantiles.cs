using System.Runtime.InteropServices;
using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>
/// Scores of rows that are normal, at least for the most part, in rising order: all of them, or, of many, so many at equal distances in
/// their order.
/// </summary>
/// <param name="Bytes">The scores as float32, little-endian.</param>
internal sealed record ScoreQuantiles(byte[] Bytes)
{
    private const int Most = 4096;

    [JsonIgnore]
    public ReadOnlySpan<float> Sorted => MemoryMarshal.Cast<byte, float>(Bytes);

    /// <summary>Of scores in rising order.</summary>
    public static ScoreQuantiles Of(float[] sorted)
    {
        if (sorted.Length > Most)
            sorted = [.. Enumerable.Range(0, Most).Select(i => sorted[(long)i * (sorted.Length - 1) / (Most - 1)])];
        return new ScoreQuantiles(MemoryMarshal.AsBytes(sorted.AsSpan()).ToArray());
    }

    /// <summary>The score that a share of the rows exceeds.</summary>
    public float Threshold(double contamination) => Threshold(Sorted, contamination);

    /// <summary>
    /// The score that new normal rows exceed with so large a probability at most: above it <see cref="PValue"/> is no larger than that.
    /// </summary>
    /// <exception cref="InvalidOperationException">There are too few scores for so rare an event.</exception>
    public float FalseAlarmThreshold(double probability)
    {
        ReadOnlySpan<float> sorted = Sorted;
        // The slack keeps a tenth of ten scores one where the product rounds to less.
        int above = (int)Math.Floor(probability * (sorted.Length + 1) * (1 + 1e-12)) - 1;
        if (above < 0)
            throw new InvalidOperationException(
                $"{sorted.Length} rows are too few to say what happens to {probability:G3} of them: calibrate with at least "
                + $"{Math.Ceiling(1 / probability * (1 - 1e-12)) - 1:F0} usable rows, or ask for a larger contamination.");
        return sorted[Math.Max(0, sorted.Length - 1 - above)];
    }

    /// <summary>
    /// The probability with which a normal row has such a score or a larger one, (1 + how many of n have it) / (n + 1); NaN for NaN (V.
    /// Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005, conformal p-values).
    /// </summary>
    public float PValue(float score)
    {
        if (float.IsNaN(score))
            return float.NaN;
        ReadOnlySpan<float> sorted = Sorted;
        int low = 0, high = sorted.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (sorted[middle] < score)
                low = middle + 1;
            else
                high = middle;
        }
        return (float)((1.0 + sorted.Length - low) / (sorted.Length + 1.0));
    }

    /// <summary>The same of scores in rising order.</summary>
    public static float Threshold(ReadOnlySpan<float> sorted, double contamination)
    {
        int above = (int)Math.Round(contamination * sorted.Length);
        return sorted[Math.Clamp(sorted.Length - 1 - above, 0, sorted.Length - 1)];
    }

    /// <summary>What makes no sense in scores that were read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (Bytes.Length is 0 or > Most * sizeof(float) || Bytes.Length % sizeof(float) != 0)
            return $"the scores that it compares with take {Bytes.Length} bytes";
        ReadOnlySpan<float> sorted = Sorted;
        for (int i = 0; i < sorted.Length; i++)
            if (!float.IsFinite(sorted[i]) || (i > 0 && sorted[i] < sorted[i - 1]))
                return "the scores that it compares with are not in order";
        return null;
    }
}
