using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>A series with one label in all the forms that trainers want.</summary>
internal sealed class SeriesRow
{
    public double[] Times { get; set; } = [];

    public float[] Values { get; set; } = [];

    public float[] First { get; set; } = [];

    public double[] Second { get; set; } = [];

    public string Label { get; set; } = "";

    public bool IsUp { get; set; }

    public float Slope { get; set; }

    [VectorType(2)]
    public float[] Slopes { get; set; } = [0, 0];

    public float Weight { get; set; } = 1;
}

/// <summary>Series of two channels, of different lengths, at times of their own, with gaps: a line that rises or falls, and
/// noise.</summary>
internal static class SeriesData
{
    public static List<SeriesRow> Lines(int count, int seed = 1, int least = 3, int most = 12)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            int length = random.Next(least, most + 1);
            float slope = (i % 2 == 0 ? 1 : -1) * (0.5f + random.NextSingle());
            var times = new double[length];
            for (int k = 1; k < length; k++)
                times[k] = times[k - 1] + 0.5 + random.NextDouble();
            float[] first = [.. times.Select(time => 3 + slope * (float)time)];
            double[] second = [.. times.Select(_ => random.NextDouble())];
            if (length > 4)
                first[random.Next(1, length - 1)] = float.NaN;
            return new SeriesRow
            {
                Times = [.. times.Select(time => 1000 + time)],
                Values = [.. first.Zip(second, (a, b) => (float[])[a, (float)b]).SelectMany(pair => pair)],
                First = first,
                Second = second,
                Label = slope > 0 ? "up" : "down",
                IsUp = slope > 0,
                Slope = slope,
                Slopes = [slope, -2 * slope],
                Weight = 1 + i % 3,
            };
        })];
    }

    public static IDataView View(MLContext mlContext, IEnumerable<SeriesRow> rows) => mlContext.Data.LoadFromEnumerable(rows);

    /// <summary>The same with the classes as a key.</summary>
    public static IDataView Keyed(MLContext mlContext, IEnumerable<SeriesRow> rows)
    {
        IDataView view = View(mlContext, rows);
        return mlContext.Transforms.Conversion.MapValueToKey(
            "Label", keyOrdinality: Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(view).Transform(view);
    }

    /// <summary>A network that trains in no time.</summary>
    public static TOptions Small<TOptions>(TOptions options, int epochs = 2)
        where TOptions : NeuralCdeTrainerOptions
    {
        options.NumberOfEpochs = epochs;
        options.BatchSize = 16;
        options.ChannelCount = 2;
        options.Width = 8;
        options.BlockSize = 2;
        options.HiddenLayers = [6];
        options.Layers = 1;
        options.Seed = 1;
        return options;
    }
}
