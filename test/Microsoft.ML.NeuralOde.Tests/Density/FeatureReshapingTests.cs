using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>Features that are reshaped: the map itself, which features have it, and what it does for densities and anomalies.</summary>
public class FeatureReshapingTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Values_around_a_frequent_one_become_the_normal_quantiles_of_their_middle_ranks()
    {
        // Of 64 values 24 are zero: their ranks go from 20/64 to 44/64.
        float[][] rows =
            [.. Enumerable.Range(1, 20).SelectMany(i => new[] { new[] { (float)i }, [-i] }), .. Enumerable.Repeat(new[] { 0f }, 24)];
        ReshapingTables tables = Fit(rows)!;

        // Φ⁻¹ of 0.5/64, 19.5/64, 1/2, 44.5/64 and 63.5/64.
        float[] expected = [-2.4175590f, -0.5109658f, 0, 0.5109658f, 2.4175590f];
        Map(tables, [-20, -1, 0, 1, 20], forward: true).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-5);
        // Linear in between, and beyond with one unit a standard deviation.
        Map(tables, [0.5f], forward: true)[0].Should().BeApproximately(expected[3] / 2, 1e-5f);
        float deviation = MathF.Sqrt(2 * 2870 / 64f);
        Map(tables, [20 + 10 * deviation, -20 - 3 * deviation], forward: true)
            .Should().Equal([expected[4] + 10, expected[0] - 3], (a, b) => Math.Abs(a - b) < 1e-3);
    }

    [Fact]
    public void The_map_is_undone_by_its_inverse_and_its_slope_is_the_derivative()
    {
        var random = new Random(3);
        float[] column = [.. Enumerable.Range(0, 3000).Select(_ => (float)Math.Exp(2 * DensityRows.Normal(random)))];
        ReshapingTables tables = Fit([.. column.Select(value => new[] { value })])!;
        tables.Knots.Should().BeLessThanOrEqualTo(256, "tables stay small however many values there are");

        float[] x = [-3, 0.01f, 0.3f, 1, 2.5f, 40, 400];
        float[] images = Map(tables, x, forward: true);
        images.Should().BeInAscendingOrder();
        Map(tables, images, forward: false).Should().Equal(x, (a, b) => Math.Abs(a - b) < 1e-3 * (1 + Math.Abs(b)));
        // The normal scores of this log-normal variable are half its logarithm; its median is 1, and its quartiles are e^±1.349.
        double unit = 2 * Math.Sinh(1.349) / 1.349;
        for (int i = 1; i < 6; i++)
            images[i].Should().BeApproximately((float)((Math.Log(x[i]) / 2 + Math.Asinh((x[i] - 1) / unit)) / 2), 0.12f, $"at {x[i]}");

        // Within a piece the map is linear: any two of its points give the derivative.
        for (int i = 20; i < tables.Knots - 1; i += 20)
        {
            float from = tables.Values[i], size = tables.Values[i + 1] - from;
            float[] ends = Map(tables, [from + 0.2f * size, from + 0.8f * size], forward: true);
            Slopes(tables, [from + 0.5f * size])[0].Should()
                .BeApproximately((ends[1] - ends[0]) / (0.6f * size), 0.01f * (ends[1] - ends[0]) / size, $"in piece {i}");
        }
    }

    [Fact]
    public void Long_tails_and_frequent_values_make_a_feature_irregular()
    {
        var random = new Random(1);
        float[][] rows = [.. Enumerable.Range(0, 2000).Select(i => new[]
        {
            (float)DensityRows.Normal(random),
            (float)Math.Exp(1.5 * DensityRows.Normal(random)),
            i % 3 == 0 ? 0 : random.NextSingle(),
            i % 10 == 0 ? 1 : 0,
            random.NextSingle(),
            (float)Math.Exp(1.5 * DensityRows.Normal(random)),
        })];

        Fit(rows, excluded: 5)!.Slots.Should().Equal([1, 2], "a flag has too few values, and the last slot is excluded");
        Fit([.. rows.Select(row => new[] { row[0], row[4] })]).Should().BeNull();
    }

    [Fact]
    public void The_density_is_that_of_the_features_themselves()
    {
        using ContinuousFlowDensityTransformer density = Density(LogNormal(2000));

        density.Model.Network.Description.ReshapedSlots.Should().Equal(0);
        // A log-normal feature beside a normal one: −log p is known, and so is the integral over all that matters of the plane.
        List<DensityRow> test = LogNormal(1000, seed: 2);
        double truth = test.Average(row => LogNormalDensity(row.Features));
        density.LogLikelihood(View(test)).Should().BeInRange(truth - 0.12, truth + 0.04);
        const int N = 240;
        double integral = 0;
        for (int i = 0; i < N; i++)
        {
            // Evenly in the logarithm, where x dlog x = dx.
            double from = Math.Exp(-6 + 12.0 * i / N), to = Math.Exp(-6 + 12.0 * (i + 1) / N), x = Math.Sqrt(from * to);
            float[] line = [.. Enumerable.Range(0, N).SelectMany(j => new[] { (float)x, -6 + 12 * (j + 0.5f) / N })];
            integral += density.Model.LogDensity(line).Sum(value => Math.Exp(value)) * (to - from) * 12 / N;
        }
        integral.Should().BeApproximately(1, 0.04, "a hundredth or two lie beyond the grid");

        float[][] samples = density.Model.Sample(2000, seed: 1);
        samples.Select(row => Math.Log(Math.Max(row[0], 1e-3)))
            .Order().ElementAt(1000).Should().BeApproximately(0, 0.12, "the median of the feature is 1");
        samples.Count(row => row[0] > Math.E).Should().BeInRange(230, 410, "16 % lie beyond one deviation of the logarithm");
    }

    [Fact]
    public void A_saved_model_has_the_same_scores()
    {
        List<DensityRow> rows = LogNormal(400);
        IDataView data = View(rows);
        using ContinuousFlowAnomalyTransformer model = Detector(data, FeatureReshaping.IrregularFeatures, epochs: 1);
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        ITransformer loaded = new MLContext().Model.Load(stream, out _);

        loaded.Transform(data).GetColumn<float>("Score").Should().Equal(model.Transform(data).GetColumn<float>("Score"));
    }

    [Fact]
    public void A_unit_of_deviation_and_range_is_smaller_for_features_that_fill_their_range()
    {
        // Values −1, 0 and 1 in equal shares: deviation √(2/3), range 2. A feature ten times as wide is scaled the same.
        List<DensityRow> rows = [.. Enumerable.Range(0, 300).Select(i => new DensityRow { Features = [i % 3 - 1, 10 * (i % 3 - 1)] })];
        float[] plain = Units(FlowFeatureScale.StandardDeviation), ranged = Units(FlowFeatureScale.DeviationAndRange);

        double deviation = Math.Sqrt(2.0 / 3), widening = Math.Sqrt(1 + 0.5 * 0.5);
        plain[0].Should().BeApproximately((float)(1 / (deviation * widening)), 1e-5f);
        ranged[0].Should().BeApproximately((float)(1 / (Math.Sqrt(deviation * 2 / 5) * widening)), 1e-5f);
        ranged[1].Should().BeApproximately(ranged[0] / 10, 1e-6f);

        float[] Units(FlowFeatureScale scale)
        {
            using ContinuousFlowAnomalyTransformer model = _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
                new ContinuousFlowAnomalyTrainer.Options
                {
                    NumberOfEpochs = 1,
                    BatchesPerEpoch = 1,
                    HiddenLayers = [8],
                    Smoothing = 0.5,
                    FeatureScale = scale
                }).Fit(View(rows));
            return model.Model.Network.Units.data<float>().ToArray();
        }
    }

    [Fact]
    public void What_a_few_large_values_hide_is_found()
    {
        // One feature is the exponential of twice the other: in standard deviations nearly all rows have the same value of it, and nothing
        // is seen of the relation.
        var random = new Random(1);
        List<DensityRow> normal = [.. Enumerable.Range(0, 1500).Select(_ => Row(0))];
        List<DensityRow> test = [.. Enumerable.Range(0, 600).Select(i => i % 4 == 0 ? Row(i % 8 == 0 ? 1.5 : -1.5) : Row(0))];

        Auc(FeatureReshaping.IrregularFeatures).Should().BeGreaterThan(0.95);
        Auc(FeatureReshaping.None).Should().BeLessThan(0.85);

        double Auc(FeatureReshaping reshaping)
        {
            using ContinuousFlowAnomalyTransformer model = Detector(View(normal), reshaping, epochs: 10);
            return _mlContext.AnomalyDetection.Evaluate(model.Transform(View(test)), falsePositiveCount: 1).AreaUnderRocCurve;
        }

        DensityRow Row(double shift)
        {
            double x = DensityRows.Normal(random);
            return new DensityRow
            {
                Features = [(float)Math.Exp(2 * x), (float)(x + shift + 0.2 * DensityRows.Normal(random))],
                Label = shift == 0 ? 0 : 1
            };
        }
    }

    private static List<DensityRow> LogNormal(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count)
            .Select(_ => new DensityRow { Features = [(float)Math.Exp(DensityRows.Normal(random)), (float)DensityRows.Normal(random)] })];
    }

    private static double LogNormalDensity(float[] x) =>
        -Math.Log(2 * Math.PI) - 0.5 * (Math.Log(x[0]) * Math.Log(x[0]) + x[1] * x[1]) - Math.Log(x[0]);

    private static ReshapingTables? Fit(float[][] rows, params int[] excluded)
    {
        using Tensor features = tensor(rows.SelectMany(row => row).ToArray(), [rows.Length, rows[0].Length]);
        using var all = MemoryRows.Of(new DenseFormat(rows[0].Length), new DenseFormat(rows[0].Length).StoreOf(features), null, null);
        return ReshapingTables.Fit(all, FeatureReshaping.IrregularFeatures, excluded, orderSeed: 1);
    }

    private static float[] Map(ReshapingTables tables, float[] x, bool forward) => Mapped(tables, x, forward, (mapped, _) => mapped);

    private static float[] Slopes(ReshapingTables tables, float[] x) => Mapped(tables, x, true, (_, slope) => slope);

    private static float[] Mapped(ReshapingTables tables, float[] x, bool forward, Func<Tensor, Tensor, Tensor> choose)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor values = tensor(tables.Values, [1, tables.Knots]), scores = tensor(tables.Images, [1, tables.Knots]);
        (Tensor mapped, Tensor slope) = ReshapingTables.Map(tensor(x, [x.Length, 1]), forward ? values : scores, forward ? scores : values);
        return choose(mapped, slope).reshape(-1).data<float>().ToArray();
    }

    private ContinuousFlowDensityTransformer Density(List<DensityRow> rows) =>
        _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options
            {
                NumberOfEpochs = 10,
                HiddenLayers = [64, 64],
                Reshaping = FeatureReshaping.IrregularFeatures
            })
            .Fit(View(rows));

    private ContinuousFlowAnomalyTransformer Detector(IDataView data, FeatureReshaping reshaping, int epochs) =>
        _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
            new ContinuousFlowAnomalyTrainer.Options
            {
                NumberOfEpochs = epochs,
                HiddenLayers = [64, 64],
                Smoothing = 0.2,
                Reshaping = reshaping
            })
            .Fit(data);

    private IDataView View(List<DensityRow> rows) => _mlContext.Data.LoadFromEnumerable(rows);
}
