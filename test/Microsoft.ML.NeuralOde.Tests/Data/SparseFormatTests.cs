using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>What decides that a column is sparse, what its rows take in memory, and its sums, by hand.</summary>
public class SparseFormatTests
{
    /// <summary>So many numbers in so many rows, one group behind the other.</summary>
    public static TheoryData<string, (int Rows, int Numbers)[], bool> Columns => new()
    {
        { "one empty row", [(1, 0)], true },
        { "a first row of few numbers before many of too many", [(1, 1), (299, 66)], false },
        { "a first row of many numbers before many of few", [(1, 900), (299, 3)], true },
        { "a sixteenth of the first 256 rows", [(256, 64)], true },
        { "the same, all at the end", [(255, 63), (1, 64 + 255)], true },
        { "the same, reached a row before", [(254, 64), (1, 128), (1, 0)], true },
        { "one number more in the last row that counts", [(255, 64), (1, 65)], false },
        { "one number more, at the beginning", [(1, 65), (255, 64)], false },
        { "what comes behind those is not looked at", [(256, 64), (50, 900)], true },
        { "nor where it would make the column sparse", [(256, 65), (500, 0)], false },
        { "of fewer rows the same share", [(2, 64), (1, 65)], false },
        { "of fewer rows the same share exactly", [(1, 63), (1, 65)], true },
    };

    [Theory]
    [MemberData(nameof(Columns))]
    public void The_first_256_rows_decide_whether_a_column_is_sparse(string what, (int Rows, int Numbers)[] groups, bool expected)
    {
        const int Width = 1024;
        List<SparseRow> rows = [.. groups.SelectMany(group => Enumerable.Range(0, group.Rows).Select(_ => Row(Width, group.Numbers)))];
        IDataView data = SparseData.View(new MLContext(1), rows, Width);
        SparseFormat.Suits(data, Wide()).Should().Be(expected, what);
        using ITrainingRows loaded = new RowLoader(Wide(), 1 << 30, _ => { }, () => { }).Load(data);
        loaded.Format.IsSparse.Should().Be(expected, what);
        loaded.Count.Should().Be(rows.Count);
        using ITrainingRows dense =
            new RowLoader(Wide() with { TakesSparse = false }, 1 << 30, _ => { }, () => { }).Load(data);
        dense.Format.IsSparse.Should().BeFalse("only trainers that take such rows are given them");
    }

    [Fact]
    public void Without_rows_there_is_nothing_to_tell_by_and_narrow_columns_are_never_sparse()
    {
        var mlContext = new MLContext(1);
        SparseFormat.Suits(SparseData.View(mlContext, [], 1024), Wide()).Should().BeNull();
        SparseFormat.Suits(SparseData.View(mlContext, [], 1023), Wide()).Should().BeFalse();
    }

    /// <summary>A number takes eight bytes with its slot, a row 64 more and a label four.</summary>
    [Theory]
    [InlineData(10 * (5 * 8 + 64 + 4), true)]
    [InlineData(10 * (5 * 8 + 64 + 4) - 1, false)]
    public void Rows_are_held_up_to_the_last_byte_of_the_budget(long budget, bool isInMemory)
    {
        List<SparseRow> rows = [.. Enumerable.Range(0, 10).Select(i => Row(1 << 20, 1 + i % 5 * 2))];
        RowColumns columns = Wide() with { Label = new NumberLabel("Target") };
        using ITrainingRows loaded = new RowLoader(columns, budget, _ => { }, () => { })
            .Load(SparseData.View(new MLContext(1), rows, 1 << 20));
        (loaded is MemoryRows).Should().Be(isInMemory);
        loaded.Statistics.MeanFeatureBytes.Should().Be(5 * 8 + 64);
        loaded.Format.MostPoolRows.Should().BeGreaterThan(1 << 30, "rows of a wide column are small");
    }

    /// <summary>Rows of other lengths one after the other in the same places: longer, shorter, none, far longer.</summary>
    [Fact]
    public void Places_of_a_pool_and_rows_of_a_store_hold_what_was_put_there_last()
    {
        using DisposeScope scope = NewDisposeScope();
        const int Width = 500;
        var format = new SparseFormat(Width);
        FeaturePool pool = format.CreatePool(3);
        using FeatureStore store = format.CreateStore(null);
        float[][] expected = [new float[Width], new float[Width], new float[Width]];
        var all = new List<float[]>();
        int[] counts = [3, 0, 7, 2, 300, 1, 1, 299, 120, 64, 65, 400];
        for (int i = 0; i < counts.Length; i++)
        {
            int[] slots = [.. Enumerable.Range(0, counts[i]).Select(k => (k + i) % Width).Order()];
            float[] values = [.. slots.Select(slot => slot + 1000f * (i + 1))];
            pool.Set(i % 3, new RowValues(values, slots));
            store.Add(new RowValues(values, slots));
            float[] dense = new float[Width];
            foreach ((int slot, float value) in slots.Zip(values))
                dense[slot] = value;
            expected[i % 3] = dense;
            all.Add(dense);
            if (i < 2)
                continue;
            foreach (int rows in new[] { 2, 3 })
                using (FeatureBatch batch = pool.ToBatch(rows))
                {
                    batch.Count.Should().Be(rows);
                    Numbers(batch).Should().Equal(expected[..rows].SelectMany(row => row));
                }
            pool.Row(i % 3).Values.ToArray().Should().Equal(values);
            pool.Row(i % 3).Slots.ToArray().Should().Equal(slots);
        }

        store.Complete();
        store.Count.Should().Be(counts.Length);
        using Tensor index = tensor(new long[] { 9, 0, 4 });
        using FeatureStore chosen = store.Select([9, 0, 4], index);
        using FeatureBatch slice = store.Slice(4, 3), taken = store.Take([9, 0, 4], index), part = chosen.Slice(0, 3);
        Numbers(slice).Should().Equal(all[4..7].SelectMany(row => row));
        float[] some = [.. all[9], .. all[0], .. all[4]];
        Numbers(taken).Should().Equal(some);
        Numbers(part).Should().Equal(some);
        chosen.Count.Should().Be(3);
        var seen = new List<(long, int)>();
        store.Visit((row, values) => seen.Add((row, values.Values.Length)));
        seen.Should().Equal(counts.Select((count, i) => ((long)i, count)));
        store.MoveTo(CPU).Should().BeSameAs(store);
    }

    [Fact]
    public void Sums_of_parts_add_up_travel_and_refuse_those_of_other_rows()
    {
        var format = new SparseFormat(4);
        FeatureStatistics front = format.CreateStatistics(), back = format.CreateStatistics(), sent = format.CreateStatistics();
        front.Add(new RowValues([3, 2], [0, 3]));
        front.Add(new RowValues([-1], [1]));
        back.Add(new RowValues([5, 1e-25f], [0, 2]));
        sent.Add(new RowValues([100, 100, 100, 100], [0, 1, 2, 3]));
        front.Merge(back, 2, 1);
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        front.Write(writer);
        stream.Position = 0;
        sent.Read(new BinaryReader(stream));
        stream.Position.Should().Be(4 * 16).And.Be(stream.Length);

        foreach (FeatureStatistics each in new[] { front, sent })
        {
            (float[] mean, float[] scale) = each.Normalization(FeatureNormalization.PerSlot, 3);
            mean.Should().Equal(0, 0, 0, 0);
            scale.Should().Equal([1 / MathF.Sqrt(17), 1, 1e25f, 0.5f], (a, b) => Math.Abs(a - b) <= 1e-6 * b);
            (mean, scale) = each.Normalization(FeatureNormalization.Global, 3);
            mean.Should().Equal(0);
            // 9 + 4 + 1 + 25 over five numbers.
            scale.Should().Equal([MathF.Sqrt(5 / 39f)], (a, b) => Math.Abs(a - b) <= 1e-6 * b);
        }
        FluentActions.Invoking(() => front.Merge(new DenseFormat(4).CreateStatistics(), 1, 1)).Should().Throw<ArgumentException>()
            .WithMessage("*sparse and of dense*");
        FluentActions.Invoking(() => front.Slots).Should().Throw<NotSupportedException>();
        FluentActions.Invoking(() => front.MeanSpan).Should().Throw<NotSupportedException>();
    }

    [Fact]
    public void A_typical_row_is_one_of_zeros()
    {
        using DisposeScope scope = NewDisposeScope();
        var format = new SparseFormat(9);
        FeatureStatistics statistics = format.CreateStatistics();
        statistics.Add(new RowValues([3], [5]));
        using FeatureBatch typical = format.CreateTypical(statistics, 1);
        typical.Count.Should().Be(1);
        typical.UsedSlots.Should().BeEmpty();
        Numbers(typical).Should().Equal(new float[9]);
    }

    private static RowColumns Wide() =>
        new((Runtime.IExceptionContext)new MLContext(1), "Features") { TakesSparse = true };

    private static SparseRow Row(int width, int numbers) =>
        new() { Features = SparseData.Vector(width, [.. Enumerable.Range(0, numbers)], [.. Enumerable.Repeat(1f, numbers)]) };

    private static float[] Numbers(FeatureBatch batch) => batch.ToDense().contiguous().data<float>().ToArray();
}
