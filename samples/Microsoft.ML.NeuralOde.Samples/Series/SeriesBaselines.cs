using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Series;

/// <summary>What simple methods make of series: trainers of ML.NET on summaries of each channel.</summary>
internal static class SeriesBaselines
{
    private const string Features = "Features";

    /// <summary>The figure of each method by its name: accuracies, or RMSEs.</summary>
    public static IReadOnlyDictionary<string, double> Run(SeriesSet set)
    {
        var context = new MLContext(1);
        IDataView train = Summaries(context, set, set.Train), test = Summaries(context, set, set.Test);
        if (set.IsRegression)
        {
            float mean = set.Train.Average(row => row.Target);
            var model = Normalized(context)
                .Append(context.Regression.Trainers.LbfgsPoissonRegression(SeriesSet.Label, Features)).Fit(train);
            return new Dictionary<string, double>
            {
                ["mean of the targets"] = Math.Sqrt(set.Test.Average(row => Math.Pow(row.Target - mean, 2))),
                ["Poisson regression on summaries"] =
                context.Regression.Evaluate(model.Transform(test), SeriesSet.Label).RootMeanSquaredError,
            };
        }
        var classifier = Normalized(context)
            .Append(context.MulticlassClassification.Trainers.LbfgsMaximumEntropy(
                SeriesSet.Label, Features, l1Regularization: 0, l2Regularization: 0.1f))
            .Fit(train);
        return new Dictionary<string, double>
        {
            ["most frequent class"] = Frequent(set),
            ["nearest mean of summaries"] = NearestMean(context, train, test, set),
            ["logistic regression on summaries"] =
            context.MulticlassClassification.Evaluate(classifier.Transform(test), SeriesSet.Label).MicroAccuracy,
        };
    }

    private static Microsoft.ML.Transforms.NormalizingEstimator Normalized(MLContext context) =>
        context.Transforms.NormalizeMeanVariance(Features, fixZero: false);

    private static double Frequent(SeriesSet set)
    {
        uint frequent = set.Train.CountBy(row => row.Class).MaxBy(pair => pair.Value).Key;
        return set.Test.Count(row => row.Class == frequent) / (double)set.Test.Count;
    }

    private static double NearestMean(MLContext context, IDataView train, IDataView test, SeriesSet set)
    {
        var scale = Normalized(context).Fit(train);
        float[][] known = [.. scale.Transform(train).GetColumn<float[]>(Features)],
            asked = [.. scale.Transform(test).GetColumn<float[]>(Features)];
        Dictionary<uint, float[]> means = known.Zip(set.Train).GroupBy(pair => pair.Second.Class).ToDictionary(
            group => group.Key, group => Enumerable.Range(0, known[0].Length).Select(i => group.Average(pair => pair.First[i])).ToArray());
        return asked.Zip(set.Test).Count(pair =>
            means.MinBy(mean =>
                mean.Value.Zip(pair.First, (a, b) => (a - b) * (a - b)).Sum()).Key == pair.Second.Class) / (double)set.Test.Count;
    }

    private static IDataView Summaries(MLContext context, SeriesSet set, IReadOnlyList<SeriesRow> rows)
    {
        SummaryRow[] summaries =
            [.. rows.Select(row => new SummaryRow { Features = Summarize(row, set.Channels), Class = row.Class, Label = row.Target })];
        var schema = SchemaDefinition.Create(typeof(SummaryRow));
        schema[Features].ColumnType = new VectorDataViewType(NumberDataViewType.Single, summaries[0].Features.Length);
        if (!set.IsRegression)
        {
            schema.Remove(schema[nameof(SummaryRow.Label)]);
            schema[nameof(SummaryRow.Class)].ColumnType = new KeyDataViewType(typeof(uint), set.Classes.Count);
            schema[nameof(SummaryRow.Class)].ColumnName = SeriesSet.Label;
        }
        return context.Data.LoadFromEnumerable(summaries, schema);
    }

    /// <summary>Of each channel mean, deviation, extremes, first and last value and the mean of its changes; and how long the series
    /// lasts.</summary>
    private static float[] Summarize(SeriesRow row, int channels)
    {
        var found = new List<float> { (float)(row.Times[^1] - row.Times[0]) };
        for (int c = 0; c < channels; c++)
        {
            float[] values = [.. row.Values.Where((value, i) => i % channels == c && !float.IsNaN(value))];
            if (values.Length == 0)
                values = [0];
            float mean = values.Average();
            found.AddRange(
            [
                mean, MathF.Sqrt(values.Average(value => (value - mean) * (value - mean))), values.Min(), values.Max(),
                values[0], values[^1],
                values.Skip(1).Zip(values, (next, value) => MathF.Abs(next - value)).DefaultIfEmpty(0).Average(),
            ]);
        }
        return [.. found];
    }

    private sealed class SummaryRow
    {
        public float[] Features { get; set; } = [];

        public uint Class { get; set; }

        public float Label { get; set; }
    }
}
