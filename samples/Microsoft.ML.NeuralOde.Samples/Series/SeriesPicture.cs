using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.Samples.Series;

/// <summary>Test series, and below them what a model says as they unfold.</summary>
internal static class SeriesPicture
{
    private const int MostSeries = 3;
    private const int MostChannels = 4;

    public static Figure Draw(SeriesSet set, NeuralCdeTransformer model)
    {
        // Of a classification one of each class, as far as there is room.
        SeriesRow[] shown = [.. (set.IsRegression ? set.Test : set.Test.DistinctBy(row => row.Class)).Take(MostSeries)];
        float[][][] told = [.. shown.Select(row => model.Model.ScoreAtObservations(row.Values, row.Times))];
        return Figure.Combine(
            $"{set.Name}: series, and what the model says of them as they unfold", shown.Length,
            [.. shown.Select(row => Paths(set, row)), .. shown.Select((row, i) => Scores(set, row, told[i]))]);
    }

    private static Figure Paths(SeriesSet set, SeriesRow row)
    {
        string truth = set.IsRegression ? $"target {row.Target:G3}" : $"class {set.Classes[(int)row.Class]}";
        return Figures.Lines(truth, "time", "value", [.. Enumerable.Range(0, Math.Min(set.Channels, MostChannels)).Select(channel =>
        {
            int[] observed = [.. Enumerable.Range(0, row.Times.Length).Where(i => float.IsFinite(row.Values[i * set.Channels + channel]))];
            return new Curve($"channel {channel + 1}", [.. observed.Select(i => row.Times[i])],
                [.. observed.Select(i => (double)row.Values[i * set.Channels + channel])]);
        }).Where(curve => curve.X.Count > 0)], markers: row.Times.Length <= 40);
    }

    private static Figure Scores(SeriesSet set, SeriesRow row, float[][] told)
    {
        if (set.IsRegression)
            return Figures.Lines("prediction", "time", "prediction", [Curve("prediction", 0)]);
        // The classes that are likely at some time.
        int[] likely = [.. Enumerable.Range(0, set.Classes.Count).OrderByDescending(k => told.Max(scores => scores[k])).Take(MostChannels)];
        return Figures.Lines("prediction", "time", "probability", [.. likely.Select(k => Curve(set.Classes[k], k))]);

        Curve Curve(string name, int k) => new(name, row.Times, [.. told.Select(scores => (double)scores[k])]);
    }
}
