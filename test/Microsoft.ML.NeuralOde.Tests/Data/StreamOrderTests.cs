using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Which rows come when: in streams, in batches of any sizes, and in the shares of several processes.</summary>
public sealed class StreamOrderTests
{
    private const int Rows = 300, RowBytes = 16;

    private readonly MLContext _mlContext = new(1);

    /// <summary>
    /// A pool of n rows is full when the first row leaves it: a row moves n − 1 places towards the front at most, and some of so many do.
    /// </summary>
    [Theory]
    [InlineData(0, 1)]
    [InlineData(RowBytes - 1, 1)]
    [InlineData(2 * RowBytes - 1, 1)]
    [InlineData(2 * RowBytes, 2)]
    [InlineData(7 * RowBytes, 7)]
    [InlineData(8 * RowBytes - 1, 7)]
    [InlineData(20 * RowBytes, 20)]
    public void A_pool_holds_as_many_rows_as_its_budget_and_mixes_those(long budget, int poolRows)
    {
        using StreamedRows stream = Stream(budget);
        long[][] orders = [.. Enumerable.Range(0, 20).Select(seed => Order(stream.Batches(32, seed)))];
        orders.Max(order => order.Select((row, place) => row - place).Max()).Should().Be(poolRows - 1);
        if (poolRows == 1)
            orders.Should().AllSatisfy(order => order.Should().BeInAscendingOrder());
    }

    [Fact]
    public void A_pool_for_all_rows_shuffles_them_all()
    {
        using StreamedRows stream = Stream(1 << 30);
        long[] order = Order(stream.Batches(32, 1));
        order.Should().OnlyHaveUniqueItems().And.HaveCount(Rows);
        // The mean of the first third of a random order is that of all, give or take 300 / √12 / √100.
        order.Take(100).Average().Should().BeInRange(149.5 - 4 * 8.7, 149.5 + 4 * 8.7);
        Order(stream.Batches(32, 2)).Should().NotEqual(order);
        Order(stream.Batches(32, 1)).Should().Equal(order);
    }

    /// <summary>Batches of given sizes hold the rows of an epoch, in memory and streamed, from any row on.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData(4)]
    public void Cut_into_batches_of_any_sizes_an_epoch_is_the_same_rows(int? seed)
    {
        using ITrainingRows memory = Load();
        using StreamedRows stream = Stream(50 * RowBytes);
        foreach (IDivisibleRows rows in new[] { (IDivisibleRows)memory, stream })
        {
            long[] whole = Order(rows.Batches(32, seed));
            int[] sizes = [1, 100, 7, 32, 60, 100];
            RowBatch[] batches = [.. rows.Cut(sizes, 32, seed, 0)];
            batches.Select(batch => (int)batch.Count).Should().Equal(sizes);
            batches.Select(batch => batch.Total).Should().Equal(sizes.Select(size => (long)size));
            Order(batches).Should().Equal(whole);
            foreach (int first in new[] { 1, 101, 240 })
                Order(rows.Cut([1, Rows - first - 1], 32, seed, first)).Should().Equal(whole[first..]);
        }
    }

    [Fact]
    public void A_stream_that_ends_too_soon_or_goes_on_is_noticed_with_both_counts()
    {
        using StreamedRows stream = Stream(50 * RowBytes, claimed: Rows + 3);
        const string Fewer = "The data view gave 300 usable rows in this epoch and 303 at first; data that are trained on must not change "
            + "meanwhile.";
        Refused(() => Order(stream.Batches(32)), Fewer);
        Refused(() => Order(stream.Batches(32, 1)), Fewer);
        Refused(() => Order(stream.Cut([100, 203], 32, null, 0)), Fewer);
        Refused(() => Order(stream.Cut([100, 100], 32, 1, 100)), Fewer);
        using StreamedRows longer = Stream(50 * RowBytes, claimed: Rows - 3);
        const string More = "The data view gave 300 usable rows in this epoch and 297 at first; *";
        Refused(() => Order(longer.Cut([97, 200], 32, null, 0)), More);

        static void Refused(Func<long[]> read, string message) =>
            read.Should().Throw<InvalidOperationException>().WithMessage(message);
    }

    /// <summary>Each of several processes takes its share of every batch, the same in memory and streamed.</summary>
    [Theory]
    [InlineData(2, 32)]
    [InlineData(3, 32)]
    [InlineData(7, 50)]
    [InlineData(5, 1)]
    [InlineData(4, 299)]
    public void Shares_of_a_batch_are_its_rows_in_their_order(int size, int batchSize)
    {
        using ITrainingRows memory = Load();
        using StreamedRows stream = Stream(20 * RowBytes);
        foreach (ITrainingRows rows in new[] { memory, stream })
            foreach (int? seed in new int?[] { null, 3 })
            {
                long[][] whole = [.. rows.Batches(batchSize, seed).Select(batch => Order([batch]))];
                RowBatch[][] parts =
                    [.. Enumerable.Range(0, size).Select(rank => rows.Batches(batchSize, seed, 0, new BatchShare(rank, size)).ToArray())];
                for (int i = 0; i < whole.Length; i++)
                {
                    bool isShared = whole[i].Length >= size;
                    long first = 0;
                    foreach (RowBatch[] batches in parts)
                    {
                        RowBatch batch = batches[i];
                        (batch.First, batch.Total, batch.IsOwn).Should().Be((isShared ? first : 0, whole[i].Length, false));
                        long[] found = Order([batch]);
                        found.Should().Equal(whole[i].Skip((int)batch.First).Take(found.Length));
                        first += found.Length;
                    }
                    first.Should().Be(isShared ? whole[i].Length : size * whole[i].Length);
                }
                parts.Should().OnlyContain(batches => batches.Length == whole.Length);
                Order(rows.Batches(batchSize, seed, 2)).Should().Equal(whole.Skip(2).SelectMany(batch => batch));
            }
    }

    /// <summary>A row of the data is in one part and the same in every pass; the seed and the share decide which.</summary>
    [Fact]
    public void The_parts_of_a_split_stream_are_drawn_by_number_seed_and_share()
    {
        const int Count = 20_000;
        foreach (double share in new[] { 0.1, 0.5, 0.9 })
        {
            RowSplit validation = new(3, share, Validation: true), training = new(3, share, Validation: false),
                other = new(4, share, Validation: true);
            bool[] drawn = [.. Enumerable.Range(0, Count).Select(row => validation.Contains(row))];
            Enumerable.Range(0, Count).Should().OnlyContain(row => training.Contains(row) != drawn[row]);
            double spread = 5 * Math.Sqrt(share * (1 - share) / Count);
            drawn.Average(one => one ? 1.0 : 0).Should().BeApproximately(share, spread);
            // Neighbours, and other seeds, are drawn by themselves.
            double both = share * share;
            Enumerable.Range(1, Count - 1).Average(row => drawn[row] && drawn[row - 1] ? 1.0 : 0).Should()
                .BeApproximately(both, 2 * spread);
            Enumerable.Range(0, Count).Average(row => drawn[row] && other.Contains(row) ? 1.0 : 0).Should()
                .BeApproximately(both, 2 * spread);
        }
    }

    private RowColumns Columns => new((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight");

    private IDataView Data() => TabularData.View(
        _mlContext, [.. Enumerable.Range(0, Rows).Select(i => new TableRow { Features = [i, 5], Target = 2 * i, Weight = 3 * i })]);

    private ITrainingRows Load() => new RowLoader(Columns, 1 << 20, _ => { }, () => { }).Load(Data());

    /// <param name="budget">The bytes of the pool.</param>
    /// <param name="claimed">The rows that there were at first.</param>
    private StreamedRows Stream(long budget, int claimed = Rows)
    {
        RowStatistics statistics = DenseRows.Statistics(new RowShape(2, 1, IsWeighted: true));
        for (int i = 0; i < claimed; i++)
            statistics.Add([i, 5], [2 * i], 3 * i);
        return new StreamedRows(Data(), Columns, new DenseFormat(2), null, statistics, budget);
    }

    /// <summary>The numbers of the rows as they come; that features, labels and weights belong together is checked.</summary>
    private static long[] Order(IEnumerable<RowBatch> batches)
    {
        var order = new List<long>();
        foreach (RowBatch batch in batches)
            using (batch)
            {
                float[] labels = batch.Labels!.contiguous().data<float>().ToArray();
                batch.Features.ToDense().contiguous().data<float>().ToArray().Should().Equal(labels.SelectMany(y => new[] { y / 2, 5 }));
                batch.Weights!.contiguous().data<float>().ToArray().Should().Equal(labels.Select(y => 1.5f * y));
                order.AddRange(labels.Select(y => (long)(y / 2)));
            }
        return [.. order];
    }
}
