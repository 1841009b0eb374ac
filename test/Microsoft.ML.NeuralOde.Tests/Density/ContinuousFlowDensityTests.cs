using Microsoft.ML.Data;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Density;

public class ContinuousFlowDensityTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void The_log_density_of_a_gaussian_is_near_the_truth_in_the_features_own_units()
    {
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Gaussian(2000));

        List<DensityRow> test = DensityRows.Gaussian(1000, seed: 2);
        double truth = test.Average(row => DensityRows.GaussianLogDensity(row.Features));
        double found = density.LogLikelihood(_mlContext.Data.LoadFromEnumerable(test));
        found.Should().BeInRange(truth - 0.08, truth + 0.02);
        double[] errors =
            [.. LogDensities(density, test).Zip(test, (f, row) => Math.Abs(f - DensityRows.GaussianLogDensity(row.Features))).Order()];
        errors[errors.Length / 2].Should().BeLessThan(0.1, "half of the rows are in the bulk");
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(1, 2)]
    public void The_density_integrates_to_one(int blocks, int members)
    {
        using ContinuousFlowDensityTransformer density =
            Fit(DensityRows.WithAnomalies(600, 0), o => (o.NumberOfEpochs, o.Blocks, o.EnsembleSize) = (6, blocks, members));

        // The midpoint rule over the square in which all rows lie.
        const int N = 160;
        const float Width = 16;
        float[] grid = new float[2 * N * N];
        for (int i = 0; i < N * N; i++)
            (grid[2 * i], grid[2 * i + 1]) = (Width * ((i / N + 0.5f) / N - 0.5f), Width * ((i % N + 0.5f) / N - 0.5f));
        double integral = density.Model.LogDensity(grid).Sum(value => Math.Exp(value)) * Width * Width / (N * N);
        integral.Should().BeApproximately(1, 0.005);
    }

    [Fact]
    public void Samples_have_the_moments_of_the_data_and_a_seed_repeats_them()
    {
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Gaussian(2000), o => o.EnsembleSize = 2);

        IDataView samples = density.Sample(2000, seed: 7);
        samples.Schema["Features"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 2));
        float[][] rows = [.. samples.GetColumn<float[]>("Features")];
        rows.Should().HaveCount(2000);
        DensityRows.Mean(rows, 0).Should().BeApproximately(100, 2);
        DensityRows.Deviation(rows, 0).Should().BeApproximately(20, 1.5);
        DensityRows.Deviation(rows, 1).Should().BeApproximately(0.01, 0.0008);
        rows.Average(row => (row[0] - 100) / 20 * (row[1] / 0.01)).Should().BeApproximately(0.6, 0.08);

        density.Sample(50, seed: 3).GetColumn<float[]>("Features")
            .Should().BeEquivalentTo(density.Sample(50, seed: 3).GetColumn<float[]>("Features"), o => o.WithStrictOrdering());
        density.Model.Sample(50, seed: 3)[0].Should().NotEqual(density.Model.Sample(50, seed: 4)[0]);
    }

    [Theory]
    [InlineData(FlowTrainingMethod.FlowMatching, 1)]
    [InlineData(FlowTrainingMethod.FlowMatching, 2)]
    [InlineData(FlowTrainingMethod.MaximumLikelihood, 1)]
    public void A_condition_moves_the_density(FlowTrainingMethod method, int blocks)
    {
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Conditional(800), o =>
        {
            o.ConditionColumnName = "Condition";
            (o.Method, o.Blocks) = (method, blocks);
            if (method == FlowTrainingMethod.MaximumLikelihood)
                (o.BatchSize, o.BatchesPerEpoch, o.NumberOfEpochs, o.StepSize, o.HiddenLayers) = (128, 20, 6, 0.125, [32, 32]);
        });

        float[][] left = density.Model.Sample(500, [-2], seed: 1), right = density.Model.Sample(500, [2], seed: 1);
        DensityRows.Mean(left, 0).Should().BeApproximately(-2, 0.2);
        DensityRows.Mean(right, 0).Should().BeApproximately(2, 0.2);
        DensityRows.Mean(right, 1).Should().BeApproximately(-2, 0.2);
        DensityRows.Deviation(left, 0).Should().BeApproximately(0.5, 0.1);
        // −log p of a Gaussian of deviation 0.5 in two dimensions is log 2π + 1 − 2 log 2 on average.
        double entropy = Math.Log(2 * Math.PI) + 1 - 2 * Math.Log(2);
        density.LogLikelihood(View(DensityRows.Conditional(500, seed: 2))).Should().BeInRange(-entropy - 0.15, -entropy + 0.05);
        density.Model.LogDensity([-2, 2], [2])[0].Should().BeLessThan(density.Model.LogDensity([-2, 2], [-2])[0] - 5);
    }

    [Fact]
    public void Maximum_likelihood_comes_near_the_truth_too()
    {
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Gaussian(1000), o =>
        {
            o.Method = FlowTrainingMethod.MaximumLikelihood;
            (o.BatchSize, o.BatchesPerEpoch, o.NumberOfEpochs, o.StepSize, o.HiddenLayers) = (256, null, 20, 0.125, [32, 32]);
        });

        List<DensityRow> test = DensityRows.Gaussian(1000, seed: 2);
        double truth = test.Average(row => DensityRows.GaussianLogDensity(row.Features));
        density.LogLikelihood(_mlContext.Data.LoadFromEnumerable(test)).Should().BeInRange(truth - 0.1, truth + 0.02);
        density.TrainingHistory.Should().HaveCount(20);
    }

    [Fact]
    public void Latent_vectors_of_the_training_data_are_standard_normal_and_bits_follow_from_the_density()
    {
        List<DensityRow> rows = DensityRows.WithAnomalies(1000, 0);
        using ContinuousFlowDensityTransformer density = Fit(rows, o => (o.LatentColumnName, o.BitsPerDimensionColumnName) = ("Z", "Bits"));
        IDataView scored = density.Transform(View(rows));

        float[][] z = [.. scored.GetColumn<float[]>("Z")];
        for (int slot = 0; slot < 2; slot++)
        {
            DensityRows.Mean(z, slot).Should().BeApproximately(0, 0.15);
            DensityRows.Deviation(z, slot).Should().BeApproximately(1, 0.15);
        }
        float[] logDensities = [.. scored.GetColumn<float>("LogDensity")];
        scored.GetColumn<float>("Bits")
            .Zip(logDensities).Should().OnlyContain(pair => Math.Abs(pair.First + pair.Second / (2 * Math.Log(2))) < 1e-4);
    }

    [Fact]
    public void Whole_numbers_are_dequantised()
    {
        // A fair coin and a die: p = 1/12 for each pair.
        var random = new Random(1);
        List<DensityRow> rows =
            [.. Enumerable.Range(0, 1200).Select(_ => new DensityRow { Features = [random.Next(2), 1 + random.Next(6)] })];
        using ContinuousFlowDensityTransformer density = Fit(rows, o => (o.Dequantization, o.Smoothing) = (Dequantization.Integers, 0));

        density.LogLikelihood(View(rows)).Should().BeApproximately(-Math.Log(12), 0.25);
        float[][] samples = density.Model.Sample(600, seed: 1);
        samples.Should().OnlyContain(row => row[0] == MathF.Round(row[0]) && row[1] == MathF.Round(row[1]));
        samples.Average(row => row[0]).Should().BeApproximately(0.5f, 0.1f);
        samples.Count(row => row[1] == 3).Should().BeInRange(60, 140);
    }

    [Fact]
    public void Rows_that_weigh_more_are_more_probable()
    {
        List<DensityRow> rows = DensityRows.WithAnomalies(600, 0);
        foreach (DensityRow row in rows)
            row.Weight = row.Features[0] < 0 ? 9 : 1;
        using ContinuousFlowDensityTransformer density = Fit(rows, o => o.ExampleWeightColumnName = "Weight");

        density.Model.Sample(1000, seed: 1).Count(row => row[0] < 0).Should().BeInRange(850, 940);
    }

    [Fact]
    public void A_saved_model_gives_the_same_numbers_and_columns_everywhere()
    {
        IDataView data = View(DensityRows.Conditional(300));
        ContinuousFlowDensityEstimator estimator = Estimator(o =>
        {
            (o.NumberOfEpochs, o.ConditionColumnName, o.LatentColumnName) = (1, "Condition", "Z");
        });
        using ContinuousFlowDensityTransformer density = estimator.Fit(data);
        string file = Path.GetTempFileName();
        _mlContext.Model.Save(density, data.Schema, file);
        var loaded = (ContinuousFlowDensityTransformer)new MLContext().Model.Load(file, out _);
        File.Delete(file);

        float[] expected = [.. density.Transform(data).GetColumn<float>("LogDensity")];
        loaded.Transform(data).GetColumn<float>("LogDensity").Should().Equal(expected);
        string[] columns = [.. density.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}")];
        loaded.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}").Should().Equal(columns);
        loaded.GetRowToRowMapper(data.Schema).OutputSchema.Select(c => $"{c.Name} {c.Type}").Should().Equal(columns);
        estimator.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema))
            .Select(c => c.Name).Should().BeEquivalentTo(density.GetOutputSchema(data.Schema).Select(c => c.Name));
        loaded.Sample(5, 1, [2])
            .GetColumn<float[]>("Features").First().Should().Equal(density.Sample(5, 1, [2]).GetColumn<float[]>("Features").First());

        List<DensityRow> rows = DensityRows.Conditional(300);
        using PredictionEngine<DensityRow, DensityPrediction> engine =
            _mlContext.Model.CreatePredictionEngine<DensityRow, DensityPrediction>(
            loaded, new PredictionEngineOptions { OwnsTransformer = true });
        for (int i = 0; i < 40; i++)
            engine.Predict(rows[i]).LogDensity.Should()
            .BeApproximately(expected[i], 1e-3f, "a row alone and a row among others have the same density");
    }

    [Fact]
    public void The_same_seed_gives_the_same_model_and_torchs_generator_stays_as_it_was()
    {
        IDataView data = View(DensityRows.Gaussian(200));
        torch.manual_seed(5);
        float[] Run(int seed)
        {
            using ContinuousFlowDensityTransformer density =
                new MLContext(seed).Transforms.ContinuousFlowDensity(Options(o => o.NumberOfEpochs = 1)).Fit(data);
            return density.Model.LogDensity([100, 0, 90, 0.01f]);
        }

        float[] first = Run(3);
        Run(3).Should().Equal(first);
        Run(4).Should().NotEqual(first);
        using torch.Tensor drawn = torch.rand(1);
        torch.manual_seed(5);
        using torch.Tensor expected = torch.rand(1);
        drawn.item<float>().Should().Be(expected.item<float>());
    }

    [Fact]
    public void Each_epoch_is_reported_and_validation_picks_the_best_weights()
    {
        var reports = new List<NeuralOdeEpochReport>();
        var log = new List<string>();
        _mlContext.Log += (_, e) => log.Add(e.Message);
        using ContinuousFlowDensityTransformer density = Fit(DensityRows.Gaussian(400), o =>
            (o.EpochCallback, o.ValidationFraction, o.NumberOfEpochs) = (reports.Add, 0.25, 3));

        reports.Should().HaveCount(3).And.OnlyContain(r => r.ValidationLoss > 0);
        reports[^1].ValidationLoss.Should().BeLessThan(reports[0].ValidationLoss!.Value);
        log.Count(message => message.Contains("epoch 3/3")).Should().BePositive();
    }

    [Fact]
    public void A_cancelled_training_ends()
    {
        using var cancel = new CancellationTokenSource();
        Action fit = () =>
            Fit(DensityRows.Gaussian(200), o => (o.CancellationToken, o.EpochCallback) = (cancel.Token, _ => cancel.Cancel()));

        fit.Should().Throw<OperationCanceledException>();
    }

    internal static ContinuousFlowDensityEstimator.Options Options(Action<ContinuousFlowDensityEstimator.Options>? change = null)
    {
        var options = new ContinuousFlowDensityEstimator.Options { NumberOfEpochs = 8, HiddenLayers = [64, 64] };
        change?.Invoke(options);
        return options;
    }

    private ContinuousFlowDensityEstimator Estimator(Action<ContinuousFlowDensityEstimator.Options>? change) =>
        _mlContext.Transforms.ContinuousFlowDensity(Options(change));

    private ContinuousFlowDensityTransformer Fit(List<DensityRow> rows, Action<ContinuousFlowDensityEstimator.Options>? change = null) =>
        Estimator(change).Fit(View(rows));

    private IDataView View(List<DensityRow> rows) => _mlContext.Data.LoadFromEnumerable(rows);

    private float[] LogDensities(ContinuousFlowDensityTransformer density, List<DensityRow> rows) =>
        [.. density.Transform(View(rows)).GetColumn<float>("LogDensity")];
}
