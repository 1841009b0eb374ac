using System.Runtime.InteropServices;
using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>The scores of the training rows in rising order: all of them, or, of many, so many at equal distances in their order.</summary>
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
            return $"the scores of its training rows take {Bytes.Length} bytes";
        ReadOnlySpan<float> sorted = Sorted;
        for (int i = 0; i < sorted.Length; i++)
            if (!float.IsFinite(sorted[i]) || (i > 0 && sorted[i] < sorted[i - 1]))
                return "the scores of its training rows are not in order";
        return null;
    }
}
