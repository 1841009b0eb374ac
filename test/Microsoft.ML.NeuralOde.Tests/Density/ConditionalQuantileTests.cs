using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Density;

public sealed class ConditionalQuantileTests : IClassFixture<ConditionalQuantileTests.Fitted>
{
    private static readonly double[] Probabilities = [0.05, 0.25, 0.5, 0.9];

    private readonly MLContext _mlContext = new(1);
    private readonly ContinuousFlowDensityTransformer _density;

    public ConditionalQuantileTests(Fitted fitted) => _density = fitted.Density;

    [Theory]
    [InlineData(-1.5f)]
    [InlineData(0.2f)]
    [InlineData(1f)]
    public void As_much_of_the_density_lies_below_a_quantile_as_its_probability_says(float condition)
    {
        float[] quantiles = _density.Model.Quantiles([condition, 0], Probabilities);

        quantiles.Should().BeInAscendingOrder();
        const int N = 4000;
        for (int i = 0; i < quantiles.Length; i++)
        {
            // The midpoint rule, from far below up to the quantile.
            const float From = -15;
            float step = (quantiles[i] - From) / N;
            float[] y = [.. Enumerable.Range(0, N).Select(k => From + (k + 0.5f) * step)];
            float[] conditions = [.. Enumerable.Range(0, N).SelectMany(_ => new[] { condition, 0f })];
            double below = _density.Model.LogDensity(y, conditions).Sum(value => Math.Exp(value)) * step;
            below.Should().BeApproximately(Probabilities[i], 2e-3);
        }
    }

    [Fact]
    public void Quantiles_of_a_normal_distribution_are_near_the_truth()
    {
        // y = 3 c + (0.5 + 0.4 |c|) ε, quantiles of ε: −1.645, −0.674, 0, 1.282.
        foreach (float condition in new[] { -1f, 0.5f })
        {
            float[] quantiles = _density.Model.Quantiles([condition, 0], Probabilities);
            double spread = 0.5 + 0.4 * Math.Abs(condition);
            double[] truth = [.. new[] { -1.645, -0.674, 0, 1.282 }.Select(z => 3 * condition + spread * z)];
            for (int i = 0; i < truth.Length; i++)
                ((double)quantiles[i]).Should().BeApproximately(truth[i], 0.35 * spread);
        }
    }

    [Fact]
    public void The_regression_reads_the_features_alone_and_can_be_evaluated()
    {
        using ContinuousFlowQuantileTransformer regression = _mlContext.Regression.PredictQuantiles(_density, Probabilities);
        List<ConditionalRow> rows = ConditionalRow.Draw(300, seed: 5);
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        IDataView features = _mlContext.Transforms.DropColumns(nameof(ConditionalRow.Target)).Fit(data).Transform(data);

        IDataView scored = regression.Transform(features);

        regression.FeatureColumnName.Should().Be("Features");
        regression.Probabilities.Should().Equal(Probabilities);
        scored.Schema["Quantiles"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 4));
        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["Quantiles"].GetSlotNames(ref names);
        names.DenseValues().Select(name => name.ToString()).Should().Equal("0.05", "0.25", "0.5", "0.9");
        float[][] quantiles = [.. scored.GetColumn<float[]>("Quantiles")];
        scored.GetColumn<float>("Score").Zip(quantiles).Should().OnlyContain(
            pair => Math.Abs(pair.First - pair.Second[2]) < 1e-4, "the score is the median");
        quantiles.SelectMany(row => row).Zip(_density.Model.Quantiles([.. rows.SelectMany(row => row.Features)], Probabilities))
            .Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-4);
        // Around the mean lies a noise whose variance is E (0.5 + 0.4 |c|)² = 0.25 + 0.4 · 0.8 + 0.16.
        _mlContext.Regression.Evaluate(scored).RSquared.Should().BeGreaterThan(0.85);
        double covered = rows.Zip(quantiles).Average(pair =>
            pair.First.Label > pair.Second[0] && pair.First.Label < pair.Second[3] ? 1.0 : 0);
        covered.Should().BeApproximately(0.85, 0.1);
    }

    [Fact]
    public void A_saved_regression_says_the_same_and_rows_with_missing_values_get_NaN()
    {
        using ContinuousFlowQuantileTransformer regression =
            _mlContext.Regression.PredictQuantiles(_density, [0.1, 0.9], "Median", "Range");
        List<ConditionalRow> rows = ConditionalRow.Draw(20, seed: 6);
        rows[3].Features = [float.NaN, 0];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        using var file = new MemoryStream();
        _mlContext.Model.Save(regression, data.Schema, file);
        file.Position = 0;
        using var loaded = (ContinuousFlowQuantileTransformer)new MLContext().Model.Load(file, out _);

        float[][] expected = [.. regression.Transform(data).GetColumn<float[]>("Range")];
        loaded.Transform(data).GetColumn<float[]>("Range").SelectMany(row => row).Should().Equal(expected.SelectMany(row => row));
        float[] medians = [.. loaded.Transform(data).GetColumn<float>("Median")];
        medians[3].Should().Be(float.NaN);
        medians.Where((_, i) => i != 3).Zip(expected.Where((_, i) => i != 3)).Should()
            .OnlyContain(pair => pair.Second[0] < pair.First && pair.First < pair.Second[1]);
        expected[3].Should().Equal(float.NaN, float.NaN);
    }

    [Fact]
    public void What_has_no_quantiles_is_refused_with_what_to_do()
    {
        Action<double[]> predict = probabilities => _mlContext.Regression.PredictQuantiles(_density, probabilities);

        predict.Invoking(p => p([])).Should().Throw<ArgumentException>().WithMessage("There is no probability*");
        predict.Invoking(p => p([0.5, 1])).Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage("A probability must lie between 0 and 1*");
        FluentActions.Invoking(() => _mlContext.Regression.PredictQuantiles(_density, scoreColumnName: "Quantiles")).Should()
            .Throw<ArgumentException>().WithMessage("Both columns are called 'Quantiles'*");
        using ContinuousFlowDensityTransformer plain = _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { NumberOfEpochs = 1, HiddenLayers = [8] })
            .Fit(_mlContext.Data.LoadFromEnumerable(DensityRows.Gaussian(40)));
        FluentActions.Invoking(() => _mlContext.Regression.PredictQuantiles(plain)).Should()
            .Throw<InvalidOperationException>().WithMessage("*2 features and 0 numbers of a condition*ConditionColumnName*");
        _density.Model.Invoking(model => model.Quantiles([1], 0.5)).Should().Throw<ArgumentException>().WithMessage("1 numbers are given*");
    }

    public sealed class Fitted : IDisposable
    {
        public Fitted()
        {
            var mlContext = new MLContext(1);
            Density = mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
            {
                FeatureColumnName = nameof(ConditionalRow.Target),
                ConditionColumnName = nameof(ConditionalRow.Features),
                HiddenLayers = [48, 48],
                NumberOfEpochs = 12,
                PathsPerBatch = 512,
            }).Fit(mlContext.Data.LoadFromEnumerable(ConditionalRow.Draw(2000, seed: 1)));
        }

        public ContinuousFlowDensityTransformer Density { get; }

        public void Dispose() => Density.Dispose();
    }

    internal sealed class ConditionalRow
    {
        [VectorType(1)]
        public float[] Target { get; set; } = [];

        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        /// <summary>y = 3 c + (0.5 + 0.4 |c|) ε; the second feature means nothing.</summary>
        public static List<ConditionalRow> Draw(int count, int seed)
        {
            var random = new Random(seed);
            return [.. Enumerable.Range(0, count).Select(_ =>
            {
                double c = DensityRows.Normal(random), y = 3 * c + (0.5 + 0.4 * Math.Abs(c)) * DensityRows.Normal(random);
                return new ConditionalRow { Features = [(float)c, random.NextSingle()], Target = [(float)y], Label = (float)y };
            })];
        }
    }
}
