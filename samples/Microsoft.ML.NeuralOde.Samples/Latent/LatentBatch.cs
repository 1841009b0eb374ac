using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>Rows as tensors: what is given, and what is to be found.</summary>
internal sealed record LatentBatch(SeriesBatch Given, SeriesBatch Asked)
{
    /// <param name="rows">The series.</param>
    /// <param name="how">The way to ask.</param>
    /// <param name="random">What is given is drawn from it.</param>
    /// <param name="isTraining">Whether what is given counts as well. It is asked for always, since some networks go step by step.</param>
    public static LatentBatch Of(IReadOnlyList<LatentRow> rows, LatentCase how, Random random, bool isTraining)
    {
        var given = new List<LatentRow>();
        var asked = new List<LatentRow>();
        foreach (LatentRow row in rows)
        {
            (int[] some, int[] others) = (isTraining ? how.Learn ?? how.Split : how.Split)(row, random);
            given.Add(row.Of(some));
            LatentRow target = isTraining ? row : row.Without(some);
            asked.Add(target.Of([.. some.Concat(others).Order()]));
        }
        return new LatentBatch(Series(given), Series(asked));
    }

    private static SeriesBatch Series(List<LatentRow> rows)
    {
        int longest = rows.Max(row => row.Times.Length), channels = rows[0].Channels;
        var values = new float[rows.Count * longest * channels];
        var times = new double[rows.Count * longest];
        for (int i = 0; i < rows.Count; i++)
        {
            rows[i].Values.CopyTo(values, i * longest * channels);
            rows[i].Times.CopyTo(times, i * longest);
        }
        Tensor lengths = tensor(rows.Select(row => (long)row.Times.Length).ToArray());
        return new SeriesBatch(tensor(values, [rows.Count, longest, channels]), tensor(times, [rows.Count, longest]), lengths);
    }
}
