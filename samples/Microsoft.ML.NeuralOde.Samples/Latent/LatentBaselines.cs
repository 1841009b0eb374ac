using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>What needs no network.</summary>
internal static class LatentBaselines
{
    private const int Lags = 20;
    private const int Fewest = 5;

    private static readonly double[] Penalties = [0.1, 1, 10, 100, 1000];

    /// <summary>The last value of each channel, 0 where there was none.</summary>
    public static float[] LastValues(LatentRow given, LatentRow asked) =>
        [.. Enumerable.Repeat(Held(given, double.PositiveInfinity), asked.Times.Length).SelectMany(values => values)];

    /// <summary>
    /// Ridge regression from the values at moments before the last observation to those at moments behind it: one for each horizon, the
    /// penalty chosen by a fifth of the training set.
    /// </summary>
    /// <returns>The answers to a row.</returns>
    public static Func<LatentRow, LatentRow, float[]> FitLinear(IReadOnlyList<(LatentRow Given, LatentRow Asked)> rows, double step)
    {
        Dictionary<int, List<(float[] X, float[] Y)>> horizons = [];
        foreach ((LatentRow given, LatentRow asked) in rows)
        {
            float[] x = Features(given, step);
            for (int i = 0; i < asked.Times.Length; i++)
                (horizons.TryGetValue(Bin(given, asked, i, step), out var list) ? list : horizons[Bin(given, asked, i, step)] = [])
                    .Add((x, asked.Values.AsSpan(i * asked.Channels, asked.Channels).ToArray()));
        }
        var weights = horizons.ToDictionary(pair => pair.Key, pair => Ridge(pair.Value));
        int[] known = [.. weights.Keys];
        return (given, asked) =>
        {
            float[] x = Features(given, step);
            return [.. Enumerable.Range(0, asked.Times.Length)
                .SelectMany(i => Apply(weights[known.MinBy(bin => Math.Abs(bin - Bin(given, asked, i, step)))], x))];
        };
    }

    private static int Bin(LatentRow given, LatentRow asked, int place, double step) =>
        (int)Math.Round((asked.Times[place] - given.Times[^1]) / step);

    private static float[] Features(LatentRow given, double step) =>
        [1, .. Enumerable.Range(0, Lags).SelectMany(lag => Held(given, given.Times[^1] - (lag * step) + 1e-9))];

    /// <summary>The last values up to a time.</summary>
    private static float[] Held(LatentRow row, double time)
    {
        var values = new float[row.Channels];
        for (int i = 0; i < row.Times.Length && row.Times[i] <= time; i++)
            for (int c = 0; c < values.Length; c++)
                if (!float.IsNaN(row.Values[(i * values.Length) + c]))
                    values[c] = row.Values[(i * values.Length) + c];
        return values;
    }

    /// <summary>Weights of each channel, <c>[channels][features]</c>.</summary>
    private static float[][] Ridge(List<(float[] X, float[] Y)> pairs)
    {
        if (!pairs.Exists(pair => pair.Y.Contains(float.NaN)))
            return Fit(pairs, pairs[0].X.Length);
        return [.. Enumerable.Range(0, pairs[0].Y.Length).Select(channel => Fit(
            [.. pairs.Where(pair => !float.IsNaN(pair.Y[channel])).Select(pair => (pair.X, new[] { pair.Y[channel] }))],
            pairs[0].X.Length)[0])];
    }

    private static float[][] Fit(List<(float[] X, float[] Y)> pairs, int features)
    {
        // Of too few the mean is the best guess: 0.
        if (pairs.Count < Fewest)
            return [.. Enumerable.Range(0, pairs.Count == 0 ? 1 : pairs[0].Y.Length).Select(_ => new float[features])];
        using DisposeScope scope = NewDisposeScope();
        Tensor x = Matrix(pairs.Select(pair => pair.X)), y = Matrix(pairs.Select(pair => pair.Y));
        long kept = pairs.Count * 4 / 5;
        double best = Penalties.MinBy(penalty =>
        {
            Tensor trial = Solve(x.narrow(0, 0, kept), y.narrow(0, 0, kept), penalty);
            return (x.narrow(0, kept, pairs.Count - kept).mm(trial) - y.narrow(0, kept, pairs.Count - kept)).square().sum().item<double>();
        });
        Tensor weights = Solve(x, y, best).t().to(ScalarType.Float32);
        return [.. Enumerable.Range(0, pairs[0].Y.Length).Select(channel => weights[channel].contiguous().data<float>().ToArray())];
    }

    private static Tensor Matrix(IEnumerable<float[]> rows) => stack(rows.Select(row => tensor(row)).ToArray()).to(ScalarType.Float64);

    /// <summary>Weights in whichever space is the smaller one, of features or of rows.</summary>
    private static Tensor Solve(Tensor x, Tensor y, double penalty)
    {
        bool isLong = x.size(0) > x.size(1);
        Tensor gram = isLong ? x.t().mm(x) : x.mm(x.t());
        Tensor regular = gram + (eye(gram.size(0), dtype: ScalarType.Float64) * penalty);
        return isLong ? linalg.solve(regular, x.t().mm(y)) : x.t().mm(linalg.solve(regular, y));
    }

    private static IEnumerable<float> Apply(float[][] weights, float[] x) =>
        weights.Select(own => own.Zip(x, (w, value) => w * value).Sum());
}
