using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Density;

public class RowTrimmingTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(300, 0.05)]
    [InlineData(9000, 0.02)]
    public void Rows_in_the_emptiest_places_go_and_a_tight_cluster_of_as_many_with_them(int count, double share)
    {
        // Half of the anomalies are all but the same, far from each other are the others.
        int anomalies = (int)Math.Round(share * count);
        var random = new Random(1);
        float[] values = [.. Enumerable.Range(0, count).SelectMany(i => i < count - anomalies
            ? new[] { (float)DensityRows.Normal(random), (float)(1e6 * DensityRows.Normal(random)) }
            : i % 2 == 0 ? [7 + 1e-3f * i / count, 0] : [i % 4 == 1 ? -7 - i % 5 : 7 + i % 5, 1e6f * (5 + i % 7)])];
        using MemoryRows rows = MemoryRows.Of(
            new DenseFormat(2), new DenseFormat(2).StoreOf(torch.tensor(values, [count, 2], device: torch.CPU)), null, null);

        RowTrimming.Keep(rows, share, orderSeed: 1).Should().Equal(Enumerable.Range(0, count - anomalies).Select(i => (long)i));
    }

    [Fact]
    public void A_detector_does_not_learn_the_anomalies_that_were_trimmed()
    {
        var random = new Random(3);
        List<DensityRow> rows = DensityRows.WithAnomalies(475, 0);
        rows.AddRange(Enumerable.Range(0, 25).Select(_ => Strange()));
        var options = new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 4, HiddenLayers = [48, 48], TrimmedShare = 0.05 };
        using ContinuousFlowAnomalyTransformer detector =
            _mlContext.AnomalyDetection.Trainers.ContinuousFlow(options).Fit(_mlContext.Data.LoadFromEnumerable(rows));

        DensityRow[] test = [.. DensityRows.WithAnomalies(400, 0, seed: 2), .. Enumerable.Range(0, 50).Select(_ => Strange())];
        IDataView scored = detector.Transform(_mlContext.Data.LoadFromEnumerable(test));

        _mlContext.AnomalyDetection.Evaluate(scored).AreaUnderRocCurve.Should().BeGreaterThan(0.995);

        DensityRow Strange() => new()
        {
            Features = [(float)(0.1 * DensityRows.Normal(random)), (float)(3 + 0.1 * DensityRows.Normal(random))],
            Label = 1,
        };
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(0.5)]
    [InlineData(double.NaN)]
    public void A_share_that_makes_no_sense_is_refused(double share) =>
        FluentActions.Invoking(() => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { TrimmedShare = share }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage($"TrimmedShare is {share}; it must be from 0 to below 0.5*");

    [Fact]
    public void With_a_condition_or_rows_that_are_not_in_memory_nothing_is_trimmed_silently()
    {
        FluentActions.Invoking(() => _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { TrimmedShare = 0.1, ConditionColumnName = "Condition" }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("TrimmedShare is 0.1; it must be 0 with a condition*");

        var options = new ContinuousFlowDensityEstimator.Options { TrimmedShare = 0.1, MemoryBudgetMegabytes = 1, NumberOfEpochs = 1 };
        IDataView many = _mlContext.Data.LoadFromEnumerable(
            Enumerable.Range(0, 150_000).Select(i => new DensityRow { Features = [i % 17, i % 13] }));
        FluentActions.Invoking(() => _mlContext.Transforms.ContinuousFlowDensity(options).Fit(many))
            .Should().Throw<InvalidOperationException>().WithMessage("TrimmedShare is 0.1*Raise MemoryBudgetMegabytes*");
    }
}
