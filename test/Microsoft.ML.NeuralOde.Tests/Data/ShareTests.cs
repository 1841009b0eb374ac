using Microsoft.ML.NeuralOde.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>How processes share batches, and rows without their zeros.</summary>
public class ShareTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Parts_of_a_batch_are_neighbours_and_none_has_two_more_than_another(int size)
    {
        for (long items = 0; items < 23; items++)
        {
            (long First, long Count)[] parts = [.. Enumerable.Range(0, size).Select(rank => new BatchShare(rank, size).Of(items))];
            double[] weights = [.. Enumerable.Range(0, size).Select(rank => new BatchShare(rank, size).WeightOf(items))];
            if (items < size)
            {
                parts.Should().AllBeEquivalentTo((0L, items), "too few are not shared");
                weights.Sum().Should().BeApproximately(1, 1e-12);
                continue;
            }
            weights.Should().OnlyContain(weight => weight == 1);
            parts.Sum(part => part.Count).Should().Be(items);
            parts[0].First.Should().Be(0);
            for (int rank = 1; rank < size; rank++)
            {
                parts[rank].First.Should().Be(parts[rank - 1].First + parts[rank - 1].Count);
                (parts[rank - 1].Count - parts[rank].Count).Should().BeInRange(0, 1);
            }
        }
        for (long most = 0; most < 23; most++)
            for (int rank = 0; rank < size; rank++)
            {
                var share = new BatchShare(rank, size);
                // Of all batches of so many or fewer, the largest part of any process.
                long expected = Enumerable.Range(0, (int)most + 1).Max(items =>
                    Enumerable.Range(0, size).Max(other => new BatchShare(other, size).Of(items).Count));
                share.MostOf(most).Should().Be(expected);
                share.Rank.Should().Be(rank);
            }
        default(BatchShare).Of(7).Should().Be((0, 7));
    }

    [Theory]
    [InlineData(4, new long[] { 10 })]
    [InlineData(4, new long[] { 5, 5 })]
    [InlineData(4, new long[] { 1, 9 })]
    [InlineData(3, new long[] { 7, 0, 4 })]
    [InlineData(100, new long[] { 3, 2, 6 })]
    [InlineData(1, new long[] { 2, 3 })]
    public void Every_row_of_every_process_comes_once_in_even_shares(int batchSize, long[] rows)
    {
        OwnPart[][] parts = [.. Enumerable.Range(0, rows.Length).Select(rank => new RankShares(rows, rank).Parts(batchSize).ToArray())];
        long total = rows.Sum(), done = 0;
        for (int batch = 0; batch * batchSize < total; batch++)
        {
            long here = Math.Min(batchSize, total - done), first = 0;
            done += here;
            for (int rank = 0; rank < rows.Length; rank++)
            {
                OwnPart part = parts[rank][batch];
                (part.Total, part.First).Should().Be((here, first));
                part.Start.Should().Be(parts[rank].Take(batch).Sum(before => before.Count));
                first += part.Count;
                // As many of a process so far as it has of all, up to one row.
                ((double)rows[rank] * done / total - (part.Start + part.Count)).Should().BeInRange(-1, 1);
            }
            first.Should().Be(here);
        }
        for (int rank = 0; rank < rows.Length; rank++)
        {
            parts[rank].Should().HaveCount((int)((total + batchSize - 1) / batchSize));
            parts[rank].Sum(part => part.Count).Should().Be((int)rows[rank]);
            (new RankShares(rows, rank).Total, new RankShares(rows, rank).Held).Should().Be((total, rows[rank]));
        }
    }

    [Fact]
    public void Of_equal_shares_the_first_process_begins() =>
        new RankShares([2, 2], 0).Parts(1).Select(part => part.Count).Should().Equal(1, 0, 1, 0);

    [Fact]
    public void Rows_without_their_zeros_are_the_rows()
    {
        using DisposeScope scope = NewDisposeScope();
        const int Width = 7;
        var random = new Random(4);
        float[] dense = [.. Enumerable.Range(0, 40 * Width).Select(i => i / Width == 11 || random.Next(3) > 0 ? 0 : random.Next(1, 9))];
        var rows = SparseRows.Of(dense, 40, Width);
        for (int round = 0; round < 2; round++)
        {
            rows.Count.Should().Be(40);
            for (int row = 0; row < 40; row++)
            {
                float[] expected = dense[(row * Width)..((row + 1) * Width)], found = new float[Width];
                RowValues values = rows.Row(row);
                for (int i = 0; i < values.Values.Length; i++)
                    found[values.Slots[i]] = values.Values[i];
                found.Should().Equal(expected);
                values.Values.Length.Should().Be(expected.Count(value => value != 0));
            }
            using SparseBatch batch = rows.ToBatch(Width);
            batch.Count.Should().Be(40);
            batch.ToDense().data<float>().ToArray().Should().Equal(dense);
            batch.UsedSlots.Should().Equal(Enumerable.Range(0, Width).Where(slot => Enumerable.Range(0, 40)
                .Any(row => dense[row * Width + slot] != 0)).Select(slot => (long)slot));
            batch.Slots.data<long>().ToArray().Should().Equal(batch.UsedSlots);
            using FeatureBatch moved = batch.To(CPU);
            (moved.Count, moved.ToDense().sum().ToDouble()).Should().Be((40, dense.Sum()));
            // Again with what is there: others of them, then the same.
            rows.Clear();
            rows.Count.Should().Be(0);
            rows.Add(new RowValues([9], [3]));
            rows.Row(0).Slots.ToArray().Should().Equal(3);
            rows.Clear();
            var again = SparseRows.Of(dense, 40, Width);
            for (int row = 0; row < 40; row++)
                rows.Add(again.Row(row));
        }
        (new RowValues([1, float.NaN], [4, 6]).FindNotFinite()?.Slot, new RowValues([1, float.NaN], default).FindNotFinite()?.Slot,
            new RowValues([1, 2], default).FindNotFinite()).Should().Be((6, 1, null));
    }
}
