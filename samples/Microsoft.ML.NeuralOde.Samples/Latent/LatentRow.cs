namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>A series: its times, and its values, one channel beside the other, NaN where there is none.</summary>
internal sealed record LatentRow(double[] Times, float[] Values)
{
    public int Channels => Values.Length / Times.Length;

    /// <summary>The series without the values of some observations.</summary>
    public LatentRow Without(int[] places)
    {
        float[] left = [.. Values];
        foreach (int place in places)
            left.AsSpan(place * Channels, Channels).Fill(float.NaN);
        return this with { Values = left };
    }

    /// <summary>Some of the observations.</summary>
    public LatentRow Of(int[] places)
    {
        int channels = Channels;
        return new LatentRow(
            [.. places.Select(place => Times[place])],
            [.. places.SelectMany(place => Values.AsSpan(place * channels, channels).ToArray())]);
    }
}

/// <summary>A way to ask: what is given of a series, and what is to be found.</summary>
/// <param name="Name">In words.</param>
/// <param name="Split">The places that are given, and those asked for.</param>
/// <param name="Learn">The same for training, where it may be more varied; null for the same.</param>
internal sealed record LatentCase(
    string Name, Func<LatentRow, Random, (int[] Given, int[] Asked)> Split, Func<LatentRow, Random,
    (int[] Given, int[] Asked)>? Learn = null);

/// <summary>Series to learn from, to calibrate intervals by, and to be judged by. Values are standardised, times take from 0 to
/// 1.</summary>
internal sealed record LatentSet(
    string Name, int Channels, IReadOnlyList<LatentRow> Train, IReadOnlyList<LatentRow> Calibration, IReadOnlyList<LatentRow> Test,
    IReadOnlyList<LatentCase> Cases, double LinearStep, int Batch, int Epochs)
{
    /// <summary>The same, where all series but those to be judged by are there to learn from.</summary>
    public LatentSet WithoutCalibration() => this with { Train = [.. Train, .. Calibration], Calibration = [] };
}
