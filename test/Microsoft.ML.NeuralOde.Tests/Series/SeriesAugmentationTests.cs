using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Series;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Series;

public class SeriesAugmentationTests
{
    private const int Length = 200;
    private static readonly (float[] Mean, float[] Scale) Statistics = ([100, 0], [0.5f, 4]);

    [Fact]
    public void Each_amount_is_what_it_says()
    {
        using DisposeScope scope = NewDisposeScope();
        List<(double[] Times, double[,] Values)> plain = Changed(SeriesAugmentation.None, 500);
        plain.Should().AllSatisfy(series => series.Times.Should().HaveCount(Length));

        // A share between 0 and 0.6, evenly: 0.3 on average, of 198 observations that may go.
        List<(double[] Times, double[,] Values)> dropped = Changed(SeriesAugmentation.None with { Dropping = 0.6 }, 500);
        dropped.Average(series => 1 - series.Times.Length / (double)Length).Should().BeApproximately(0.3, 0.03);
        dropped.Min(series => series.Times.Length).Should().BeLessThan(100);
        dropped.Should().AllSatisfy(series => (series.Times[0], series.Times[^1]).Should().Be((0, Length - 1)));

        List<(double[] Times, double[,] Values)> noisy = Changed(SeriesAugmentation.None with { Noise = 0.1 }, 500);
        Deviation(noisy.Zip(plain, (a, b) => a.Values[7, 0] - b.Values[7, 0])).Should().BeApproximately(0.1 / 0.5, 0.03);
        Deviation(noisy.Zip(plain, (a, b) => a.Values[7, 1] - b.Values[7, 1])).Should().BeApproximately(0.1 / 4, 0.004);

        List<(double[] Times, double[,] Values)> scaled = Changed(SeriesAugmentation.None with { ValueScaling = 0.2 }, 500);
        Deviation(scaled.Zip(plain, (a, b) => (a.Values[3, 0] - 100) / (b.Values[3, 0] - 100) - 1)).Should().BeApproximately(0.2, 0.02);
        scaled.Zip(plain, (a, b) => (a.Values[3, 1] / b.Values[3, 1]) - (a.Values[9, 1] / b.Values[9, 1])).Should().AllSatisfy(
            difference => difference.Should().BeApproximately(0, 1e-4, "a channel of a series has one factor"));

        List<(double[] Times, double[,] Values)> faster = Changed(SeriesAugmentation.None with { TimeScaling = 0.3 }, 500);
        Deviation(faster.Select(series => Math.Log(series.Times[^1] / (Length - 1)))).Should().BeApproximately(0.3, 0.03);
        faster.Should().AllSatisfy(series => (series.Times[50] / series.Times[100]).Should().BeApproximately(0.5, 1e-6));
    }

    [Fact]
    public void Short_series_keep_their_observations_and_no_series_loses_its_last_value()
    {
        using DisposeScope scope = NewDisposeScope();
        SeriesAugmentation half = SeriesAugmentation.None with { Dropping = 0.99 };
        Apply(half, [Series(32)], 3).Single().Times.Should().HaveCount(32);
        Enumerable.Range(0, 200).Min(seed => Apply(half, [Series(64)], seed).Single().Times.Length).Should().BeInRange(20, 40);

        float[] sparse = Series(400);
        for (int i = 0; i < sparse.Length; i++)
            if (i % 4 >= 2 && i / 4 != 200)
                sparse[i] = float.NaN;
        for (int seed = 0; seed < 50; seed++)
            Apply(half, [sparse], seed).Single().Values.Cast<double>().Should().Contain(value => !double.IsNaN(value));
    }

    [Fact]
    public void A_seed_decides_and_options_that_make_no_sense_are_named()
    {
        using DisposeScope scope = NewDisposeScope();
        Apply(new SeriesAugmentation(), [Series(50)], 5)
            .Single().Values.Should().BeEquivalentTo(Apply(new SeriesAugmentation(), [Series(50)], 5).Single().Values);
        Apply(new SeriesAugmentation(), [Series(50)], 5)
            .Single().Values.Should().NotBeEquivalentTo(Apply(new SeriesAugmentation(), [Series(50)], 6).Single().Values);
        foreach ((SeriesAugmentation augmentation, string message) in new[]
        {
            (new SeriesAugmentation { Dropping = 1 }, "Augmentation.Dropping is 1; it must be from 0 to below 1*"),
            (new SeriesAugmentation { Noise = -0.1 }, "Augmentation.Noise is -0.1; it must be from 0 to 10*"),
            (new SeriesAugmentation { ValueScaling = double.NaN }, "Augmentation.ValueScaling is NaN*"),
            (new SeriesAugmentation { TimeScaling = 11 }, "Augmentation.TimeScaling is 11*"),
            (null!, "Augmentation is null*SeriesAugmentation.None*"),
        })
            FluentActions.Invoking(() =>
                new MLContext().Regression.Trainers.NeuralCde(new NeuralCdeRegressionTrainer.Options { Augmentation = augmentation }))
                .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
        SeriesAugmentation.None.ToString().Should().Be("none");
        (SeriesAugmentation.None with { Noise = 0.05, Dropping = 0.5 }).ToString().Should().Be("dropping 0.5, noise 0.05");
    }

    private static List<(double[] Times, double[,] Values)> Changed(SeriesAugmentation augmentation, int count) =>
        Apply(augmentation, [.. Enumerable.Range(0, count).Select(_ => Series(Length))], 1);

    private static List<(double[] Times, double[,] Values)> Apply(SeriesAugmentation augmentation, List<float[]> rows, int seed)
    {
        var series = new SeriesRows(2, rows);
        var found = new (double[], double[,])[rows.Count];
        SeriesRows changed = augmentation.IsActive ? new SeriesAugmenter(augmentation, 2, Statistics).Apply(series, seed) : series;
        foreach (SeriesGroupRows group in changed.Groups())
            for (int row = 0; row < group.Places.Length; row++)
            {
                long length = group.Lengths[row].item<long>();
                double[,] values = new double[length, 2];
                for (int i = 0; i < length; i++)
                    for (int channel = 0; channel < 2; channel++)
                        values[i, channel] = group.Values[row, i, channel].item<float>();
                found[group.Places[row]] = (group.Times[row].narrow(0, 0, length).data<double>().ToArray(), values);
            }
        return [.. found];
    }

    /// <summary>Times 0, 1, 2, …, one channel about 100 and one about 0.</summary>
    private static float[] Series(int length) =>
        [.. Enumerable.Range(0, length).SelectMany(i => (float[])[i, 0, 100 + 2 * MathF.Cos(i), 0.25f * MathF.Cos(2 * i)])];

    private static double Deviation(IEnumerable<double> numbers)
    {
        double[] all = [.. numbers];
        double mean = all.Average();
        return Math.Sqrt(all.Average(number => (number - mean) * (number - mean)));
    }
}
