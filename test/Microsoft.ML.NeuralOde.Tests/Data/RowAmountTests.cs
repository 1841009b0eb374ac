using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>What is counted and computed over the rows, by hand.</summary>
public class RowAmountTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Means_and_scales_are_those_of_the_values()
    {
        var statistics = DenseRows.Statistics(new RowShape(3, 1, IsWeighted: true));
        // The first slot 1, 3, 8; the second is constant; the third is not whole.
        statistics.Add([1, 7, 0.5f], [2], 1);
        statistics.Add([3, 7, 1.5f], [4], 0.5f);
        statistics.Add([8, 7, 1], [2], 2);

        statistics.Count.Should().Be(3);
        // Squared distances from 4 are 9, 1, 16; from 1 a quarter, a quarter, 0; of the labels from 8/3 they are 4/9, 16/9, 4/9.
        (float[] mean, float[] scale) = statistics.Features(FeatureNormalization.PerSlot);
        Equal(mean, [4, 7, 1]);
        Equal(scale, [1 / Math.Sqrt(26.0 / 3), 1, 1 / Math.Sqrt(0.5 / 3)]);
        // All nine: their sum is 36, and that of their squares 74 + 147 + 3.5.
        (float[] overall, float[] one) = statistics.Features(FeatureNormalization.Global);
        Equal(overall, [4]);
        Equal(one, [1 / Math.Sqrt(224.5 / 9 - 16)]);
        (float[] labelMean, float[] labelScale) = statistics.Labels();
        Equal(labelMean, [8.0 / 3]);
        Equal(labelScale, [1 / Math.Sqrt(24.0 / 9 / 3)]);
        statistics.FeatureRanges().Should().Equal(7, 0, 1);
        statistics.ConstantFeatures().Should().Equal(1);
        statistics.WholeFeatures().Should().Equal(0);
        statistics.LabelWeights.Should().Equal(new Dictionary<float, double> { [2] = 3, [4] = 0.5 });
    }

    [Fact]
    public void Values_far_from_zero_keep_their_deviation_and_rounding_alone_is_none()
    {
        var statistics = DenseRows.Statistics(new RowShape(2, 0, IsWeighted: false));
        // Neighbours in float32 at 2^24 are 2 apart.
        foreach (int i in new[] { 0, 8, 16 })
            statistics.Add([(1 << 24) + i, (1 << 24) + i / 8], [], 1);
        Equal(statistics.Features(FeatureNormalization.PerSlot).Scale, [1 / Math.Sqrt(128.0 / 3), 1]);
        statistics.ConstantFeatures().Should().Equal(1);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1L << 20, true)]
    public void Rows_that_are_left_out_are_counted_by_their_reason(long budget, bool isInMemory)
    {
        List<TableRow> rows = [.. Enumerable.Range(0, 20).Select(i => new TableRow { Features = [i, 1], Target = i, Weight = 1 })];
        foreach (int i in new[] { 3, 4 })
            rows[i].Target = float.NaN;
        foreach (int i in new[] { 6, 7, 8 })
            rows[i].Weight = float.NaN;
        foreach (int i in new[] { 10, 11, 12, 19 })
            rows[i].Features[1] = float.NaN;
        var warnings = new List<string>();
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight");
        using ITrainingRows loaded = new RowLoader(columns, budget, warnings.Add, () => { }).Load(TabularData.View(_mlContext, rows));

        (loaded is MemoryRows).Should().Be(isInMemory);
        loaded.Count.Should().Be(11);
        loaded.Batches(4).Sum(batch => batch.Count).Should().Be(11);
        warnings.Should().Equal(
            "2 rows have no value in the label column 'Target'; 3 rows have no value in the weight column 'Weight'; 4 rows have values in the " +
            "feature column 'Features' that are missing or infinite, NaN in row 10, slot 1 first (mlContext.Transforms.ReplaceMissingValues " +
            "would keep them). They are left out.");
    }

    [Fact]
    public void A_negative_weight_is_refused_by_its_row_and_zero_is_not()
    {
        List<TableRow> rows = [.. TabularData.Circle(5)];
        rows[1].Weight = 0;
        using ITrainingRows loaded = Load(rows);
        loaded.Count.Should().Be(5);
        rows[3].Weight = -0.5f;
        FluentActions.Invoking(() => Load(rows)).Should().Throw<InvalidOperationException>()
            .WithMessage("The weight column 'Weight' holds -0.5 in row 3; weights must be zero or positive.");
    }

    /// <summary>Twelve bytes a row, and a budget that the last row meets exactly or misses.</summary>
    [Theory]
    [InlineData(120, true)]
    [InlineData(119, false)]
    public void Rows_stay_in_memory_up_to_the_last_byte_of_the_budget(long budget, bool isInMemory)
    {
        foreach (bool knowsItsCount in new[] { true, false })
        {
            IDataView data = TabularData.View(_mlContext, TabularData.Circle(10));
            if (!knowsItsCount)
                data = _mlContext.Data.FilterRowsByColumn(data, "Weight", 0, 2);
            var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"));
            using ITrainingRows rows = new RowLoader(columns, budget, _ => { }, () => { }).Load(data);
            (rows is MemoryRows).Should().Be(isInMemory);
            rows.Count.Should().Be(10);
        }
    }

    /// <summary>Rows of an epoch, the pool, and batches of 32: the row that fills the pool, and the ones before and behind it.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(99)]
    [InlineData(100)]
    [InlineData(101)]
    public void Every_row_comes_once_with_a_pool_of_any_size(int poolRows)
    {
        using ITrainingRows memory =
            Load([.. Enumerable.Range(0, 100).Select(i => new TableRow { Features = [i, 5], Target = 2 * i, Weight = 3 * i })]);
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight");
        IDataView data = TabularData.View(_mlContext,
            [.. Enumerable.Range(0, 100).Select(i => new TableRow { Features = [i, 5], Target = 2 * i, Weight = 3 * i })]);
        using var stream = new StreamedRows(data, columns, memory.Format, null, memory.Statistics, poolRows * 16);
        foreach (int? seed in new int?[] { null, 1 })
        {
            var seen = new List<float>();
            var sizes = new List<long>();
            foreach (RowBatch batch in stream.Batches(32, seed))
                using (batch)
                {
                    float[] x = [.. batch.Features.ToDense().contiguous().data<float>().ToArray().Where((_, i) => i % 2 == 0)];
                    batch.Labels!.contiguous().data<float>().ToArray().Should().Equal(x.Select(value => 2 * value));
                    batch.Weights!.contiguous().data<float>().ToArray().Should().Equal(x.Select(value => 3 * value));
                    seen.AddRange(x);
                    sizes.Add(batch.Count);
                }
            sizes.Should().Equal(32, 32, 32, 4);
            seen.Order().Should().Equal(Enumerable.Range(0, 100).Select(i => (float)i));
        }
    }

    [Fact]
    public void An_epoch_of_a_given_number_of_batches_goes_over_the_rows_as_often_as_it_takes()
    {
        using var rows = new RepeatedRows(Load([.. Enumerable.Range(0, 10).Select(i => new TableRow { Features = [i, 5], Target = i })]),
            batchesPerEpoch: 5, batchSize: 4);
        rows.Count.Should().Be(20);
        float[][] inOrder = Read(rows.Batches(4));
        // Two full batches a pass; what is left over does not come.
        inOrder.Should().BeEquivalentTo(new float[][] { [0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3] },
            o => o.WithStrictOrdering());
        float[][] shuffled = Read(rows.Batches(4, orderSeed: 3));
        shuffled.Should().HaveCount(5).And.OnlyContain(batch => batch.Distinct().Count() == 4);
        shuffled[0].Concat(shuffled[1]).Should().OnlyHaveUniqueItems();
        shuffled[0].Concat(shuffled[1]).Should().NotEqual(shuffled[2].Concat(shuffled[3]), "each pass has an order of its own");
        for (int first = 0; first <= 5; first++)
            Read(rows.Batches(4, orderSeed: 3, firstBatch: first)).Should().BeEquivalentTo(shuffled[first..], o => o.WithStrictOrdering());
        Read(new RepeatedRows(Load([.. TabularData.Circle(3)]), 2, 4).Batches(4)).Select(batch => batch.Length).Should().Equal(3, 3);

        static float[][] Read(IEnumerable<RowBatch> batches) => [.. batches.Select(batch =>
        {
            using (batch)
                return batch.Features.ToDense().contiguous().data<float>().ToArray().Where((_, i) => i % 2 == 0).ToArray();
        })];
    }

    /// <summary>The share of rows for validation, rounded; what leaves one part empty is refused with its count.</summary>
    [Theory]
    [InlineData(0.1, 1)]
    [InlineData(0.26, 3)]
    [InlineData(0.5, 5)]
    [InlineData(0.94, 9)]
    [InlineData(0.04, 0)]
    [InlineData(0.96, 10)]
    public void Rows_are_split_by_the_share_that_is_asked_for(double share, int expected)
    {
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"));
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(10));
        var loader = new RowLoader(columns, 1 << 20, _ => { }, () => { });
        if (expected is 0 or 10)
        {
            FluentActions.Invoking(() => loader.LoadAndSplit(data, share, 3)).Should().Throw<InvalidOperationException>()
                .WithMessage($"*of 10 rows leaves {expected} for validation*");
            return;
        }
        (ITrainingRows training, ITrainingRows validation) = loader.LoadAndSplit(data, share, 3);
        using (training)
        using (validation)
            (training.Count, validation.Count, training.Statistics.Count).Should().Be((10 - expected, expected, 10 - expected));
    }

    private ITrainingRows Load(List<TableRow> rows) =>
        new RowLoader(new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight"), 1 << 20,
            _ => { }, () => { })
            .Load(TabularData.View(_mlContext, rows));

    private static void Equal(float[] found, double[] expected) =>
        found.Should().Equal(expected, (f, e) => Math.Abs(f - e) <= 2e-6 * Math.Abs(e));
}
