using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

public class StreamingTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(40)]
    [InlineData(1000)]
    public void A_stream_gives_every_row_once_an_epoch_in_another_order_with_its_label_and_weight(int poolRows)
    {
        using ITrainingRows memory = Load();
        using StreamedRows stream = Stream(memory, poolRows);
        float[] inOrder = Rows(stream.Batches(32), out _);
        Rows(memory.Batches(32), out _).Should().Equal(inOrder);

        float[] first = Rows(stream.Batches(32, orderSeed: 1), out int batches);
        float[] second = Rows(stream.Batches(32, orderSeed: 2), out _);

        batches.Should().Be(7);
        first.Should().NotEqual(inOrder).And.NotEqual(second);
        first.Order().Should().Equal(inOrder.Order());
        Rows(stream.Batches(32, orderSeed: 1), out _).Should().Equal(first, "a seed decides");
        Rows(stream.Batches(32, orderSeed: 1, firstBatch: 3), out _).Should().Equal(first.Skip(96), "batches may be left out in front");
        Rows(memory.Batches(32, orderSeed: 1, firstBatch: 3), out _).Should().Equal(Rows(memory.Batches(32, orderSeed: 1), out _).Skip(96));
    }

    [Fact]
    public void A_small_pool_still_mixes_rows_well_beyond_neighbours()
    {
        using ITrainingRows memory = Load();
        using StreamedRows stream = Stream(memory, 50);
        float[] order = Rows(stream.Batches(32, orderSeed: 1), out _);
        // In the data's order the mean distance from a row to the next one is 1; in a random order a third of the rows.
        double distance = order.Zip(order.Skip(1), (a, b) => Math.Abs(a - b)).Average();
        distance.Should().BeGreaterThan(20);
    }

    [Fact]
    public void Both_parts_of_a_split_stream_are_disjoint_and_complete()
    {
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight");
        // No budget: nothing fits into memory.
        (ITrainingRows training, ITrainingRows validation) =
            new RowLoader(columns, 0, _ => { }, () => { }).LoadAndSplit(Data(), 0.25, seed: 3);
        using (training)
        using (validation)
        {
            validation.Count.Should().BeInRange(30, 70);
            (training.Count + validation.Count).Should().Be(200);
            Rows(training.Batches(32), out _)
                .Concat(Rows(validation.Batches(32), out _)).Order().Should().Equal(Enumerable.Range(0, 200).Select(i => (float)i));
            training.Statistics.Features(FeatureNormalization.PerSlot).Mean[1].Should().BeApproximately(5, 1e-5f);
        }
    }

    [Fact]
    public void Data_that_change_while_they_are_read_are_noticed()
    {
        int count = 100;
        IDataView data = _mlContext.Data.LoadFromEnumerable(Changing());
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features");
        using ITrainingRows rows = new RowLoader(columns, 0, _ => { }, () => { }).Load(data);
        count = 90;

        Action act = () => Rows(rows.Batches(32), out _);

        act.Should().Throw<InvalidOperationException>().WithMessage("*90 usable rows*100 at first*");

        IEnumerable<Point> Changing()
        {
            for (int i = 0; i < count; i++)
                yield return new Point { Features = [i, i] };
        }
    }

    [Fact]
    public void Memory_and_stream_learn_the_same_from_the_same_data()
    {
        double[] errors = [.. new[] { 1024, 1 }.Select(budget =>
        {
            // 12 bytes a row: 100,000 rows are more than 1 MiB.
            IDataView data = TabularData.View(_mlContext, TabularData.Circle(100_000));
            using NeuralOdeRegressionTransformer model = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
            {
                LabelColumnName = "Target",
                NumberOfEpochs = 1,
                BatchSize = 256,
                LearningRate = 0.02,
                LearningRateSchedule = LearningRateSchedule.Constant,
                EncoderLayers = [8],
                DynamicsLayers = [8],
                MemoryBudgetMegabytes = budget,
            }).Fit(data);
            return _mlContext.Regression.Evaluate(
                model.Transform(TabularData.View(_mlContext, TabularData.Circle(500, seed: 2))), "Target").RootMeanSquaredError;
        })];

        errors.Should().OnlyContain(error => error < 0.1);
        errors[0].Should().NotBe(errors[1], "the order is another");
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Data_of_600_MB_train_in_a_process_that_may_not_have_600_MB()
    {
        // 500,000 rows of 301 numbers are 574 MiB. The managed heap may not hold them; the peak of resident memory says that nothing else
        // does.
        (int code, string output) = Programs.Run(Programs.TrainingHost, ["stream", "500000", "300", "16"], start =>
            start.Environment["DOTNET_GCHeapHardLimit"] = (128L << 20).ToString("X", System.Globalization.CultureInfo.InvariantCulture));

        code.Should().Be(0, output);
        string[] words = output.Trim().Split('\n')[^1].Split(' ', ';');
        (long.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture) >> 20).Should().BeLessThan(450, output);
        double.Parse(words[^1], System.Globalization.CultureInfo.InvariantCulture).Should().BeGreaterThan(0.7, output);
    }

    private ITrainingRows Load() =>
        new RowLoader(new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight"), 1 << 20,
            _ => { }, () => { }).Load(Data());

    private StreamedRows Stream(ITrainingRows all, int poolRows)
    {
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight");
        return new StreamedRows(Data(), columns, all.Format, null, all.Statistics, poolRows * columns.ShapeIn(Data().Schema).Bytes);
    }

    private IDataView Data() =>
        TabularData.View(
            _mlContext, [.. Enumerable.Range(0, 200).Select(i => new TableRow { Features = [i, 5], Target = 2 * i, Weight = 3 * i })]);

    /// <summary>The first feature of all rows in their order; that labels and weights belong to them is checked.</summary>
    private static float[] Rows(IEnumerable<RowBatch> source, out int batches)
    {
        var rows = new List<float>();
        batches = 0;
        foreach (RowBatch batch in source)
        {
            using (batch)
            {
                float[] features = batch.Features.ToDense().contiguous().data<float>().ToArray();
                float[] x = [.. features.Where((_, i) => i % 2 == 0)];
                if (batch.Labels is not null)
                {
                    batch.Labels.contiguous().data<float>().ToArray().Should().Equal(x.Select(value => 2 * value));
                    batch.Weights!.contiguous().data<float>().ToArray().Should().Equal(x.Select(value => 3 * value));
                }
                rows.AddRange(x);
                batches++;
            }
        }
        return [.. rows];
    }
}
