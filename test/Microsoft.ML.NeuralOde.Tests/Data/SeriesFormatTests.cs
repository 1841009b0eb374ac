using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Series as rows: how they are read, counted, held and put together, by hand.</summary>
public class SeriesFormatTests
{
    private readonly MLContext _mlContext = new(1);

    /// <summary>The same three series of two channels in all forms that columns may have, times counted from their first.</summary>
    [Theory]
    [InlineData("Times", "Both")]
    [InlineData("SingleTimes", "DoubleBoth")]
    [InlineData("Times", "A B")]
    [InlineData("Times", "DoubleA B")]
    [InlineData("Times", "SparseBoth")]
    [InlineData(null, "Both")]
    [InlineData(null, "A DoubleB")]
    public void Observations_are_the_time_since_the_first_and_the_channels(string? times, string values)
    {
        Row[] rows =
        [
            new() { Times = [-2, -1.5, 3], A = [1, 0, float.NaN], B = [4, 5, 6] },
            new() { Times = [7], A = [8], B = [float.NaN] },
            new() { Times = [1e9, 1e9 + 0.25], A = [0, 0], B = [3, 0] },
        ];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        string[] names = values.Split(' ');
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, names[0])
        {
            Series = new SeriesColumns(times, names, names.Length == 1 ? 2 : null),
        };
        columns.ShapeIn(data.Schema).Should().Be(new RowShape(2, 0, false));
        var format = new SeriesFormat(2);
        using var reader = new RowReader(data, columns, format);
        foreach (Row row in rows)
        {
            reader.MoveNext().Should().BeTrue();
            float[] found = reader.Features.Values.ToArray();
            found.Length.Should().Be(4 * row.A.Length);
            for (int i = 0; i < row.A.Length; i++)
            {
                // Float32 has 24 bits, and so have its two parts together 48.
                double time = times is null ? i : row.Times[i] - row.Times[0];
                SeriesReader.TimeOf(found.AsSpan(4 * i)).Should().BeApproximately(time, 1e-14 * Math.Abs(time));
                found[4 * i].Should().Be((float)time);
                found[(4 * i + 2)..(4 * i + 4)].Should().Equal(row.A[i], row.B[i]);
            }
        }
        reader.MoveNext().Should().BeFalse();
        reader.Skipped.Should().Be(0);
    }

    [Theory]
    [InlineData("Times", "Both", 3, 2, 3, "the column 'Times' has 3 times for 2 observations of 2 channels in 'Both'")]
    [InlineData("Times", "Both", 1, 2, 2, "the column 'Times' has 1 times for 2 observations of 2 channels in 'Both'")]
    [InlineData("Times", "A B", 3, 2, 2, "the column 'Times' has 3 times for 2 observations of 2 channels in 'A'")]
    [InlineData(null, "A B", 0, 3, 2,
        "the column 'B' has 2 values and 'A' 3; all channels of a series must have the same length: NaN is a missing value")]
    [InlineData(null, "Odd", 0, 3, 3, "the column 'Odd' has 3 values, which are not whole times of 2 channels")]
    public void Lengths_that_do_not_go_together_are_told_with_both_counts(
        string? times, string values, int timeCount, int first, int second, string message)
    {
        Row[] rows =
        [
            new() { Times = [0, 1], A = [1, 2], B = [1, 2], Odd = [1, 2] },
            new()
            {
                Times = [.. Enumerable.Range(0, timeCount).Select(i => (double)i)], A = new float[first], B = new float[second],
                Odd = new float[first], Fixed = [1, 2, 3, 4],
            },
        ];
        if (values == "Both")
            values = "Fixed";
        string[] names = values.Split(' ');
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, names[0])
        {
            Series = new SeriesColumns(times, names, names.Length == 1 ? 2 : null),
        };
        rows[0].Fixed = [1, 2, 3, 4];
        using var reader = new RowReader(_mlContext.Data.LoadFromEnumerable(rows), columns, new SeriesFormat(2));
        reader.MoveNext().Should().BeTrue();
        FluentActions.Invoking(() => reader.MoveNext()).Should().Throw<InvalidOperationException>()
            .WithMessage($"In row 1 (counted from 0) {message.Replace("'Both'", "'Fixed'")}.");
    }

    [Theory]
    [InlineData(new[] { 0, 1, 1.0 }, "time 2 in the column 'Times' is 1, after 1; times must increase")]
    [InlineData(new[] { 3, 2.5 }, "time 1 in the column 'Times' is 2.5, after 3; times must increase")]
    [InlineData(new[] { 0, double.PositiveInfinity, 3 }, "time 1 in the column 'Times' is Infinity; times must be finite")]
    [InlineData(new[] { double.NaN, 1 }, "time 0 in the column 'Times' is NaN; times must be finite")]
    public void Times_that_do_not_go_on_are_told_with_their_place(double[] times, string message)
    {
        Row[] rows = [new() { Times = times, A = new float[times.Length] }];
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "A") { Series = new SeriesColumns("Times", ["A"]) };
        using var reader = new RowReader(_mlContext.Data.LoadFromEnumerable(rows), columns, new SeriesFormat(1));
        FluentActions.Invoking(() => reader.MoveNext()).Should().Throw<InvalidOperationException>()
            .WithMessage($"In row 0 (counted from 0) {message}.");
    }

    /// <summary>Two channels: what a row is left out for, and where the number stands.</summary>
    [Theory]
    [InlineData(new[] { 0, 0, 1f, 2 }, null)]
    [InlineData(new[] { 0, 0, float.NaN, 2 }, null)]
    [InlineData(new[] { 0, 0, 1f, float.NaN, 1, 0, float.NaN, float.NaN }, null)]
    [InlineData(new float[0], "row 7, which is empty,")]
    [InlineData(new[] { 0, 0, float.NaN, float.NaN, 1, 0, float.NaN, float.NaN }, "row 7, all of whose values are missing,")]
    [InlineData(new[] { 0, 0, 1, float.NegativeInfinity }, "row 7, where observation 0 of channel 1 is infinite,")]
    [InlineData(new[] { 0, 0, 1f, 2, 1, 0, 3, 4, 2, 0, float.PositiveInfinity, 5 },
        "row 7, where observation 2 of channel 0 is infinite,")]
    public void Series_that_say_nothing_or_are_infinite_are_left_out(float[] row, string? gap)
    {
        var format = new SeriesFormat(2);
        format.FindGap(new RowValues(row, default), 7).Should().Be(gap);
        format.DescribeGaps(3, gap ?? "", "Values").Should()
            .Be($"3 rows have series in the column 'Values' without any value or with infinite ones, {gap} first");
        format.BytesOf(new RowValues(row, default)).Should().Be(4 * row.Length + 32);
    }

    [Fact]
    public void Sums_add_up_travel_and_refuse_those_of_other_rows()
    {
        var format = new SeriesFormat(3);
        FeatureStatistics front = format.CreateStatistics(), back = format.CreateStatistics(), sent = format.CreateStatistics();
        // The third channel is never observed.
        front.Add(new RowValues([0, 0, 1, 10, float.NaN, 4, 0.5f, 3, float.NaN, float.NaN], default));
        front.Add(new RowValues([0, 0, 8, 20, float.NaN], default));
        back.Add(new RowValues([0, 0, float.NaN, 30, float.NaN, 1, 0, float.NaN, 40, float.NaN, 3, 0, 0, float.NaN, float.NaN], default));
        sent.Add(new RowValues([0, 0, 5, 5, 5, 9, 0, 5, 5, 5], default));
        format.CreateStatistics().MeanSpan.Should().Be(0);
        front.MeanSpan.Should().Be(2.25, "a single observation takes no time");
        front.Merge(back, 2, 1);
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        front.Write(writer);
        stream.Position = 0;
        sent.Read(new BinaryReader(stream));
        stream.Position.Should().Be(stream.Length);

        foreach (FeatureStatistics each in new[] { front, sent })
        {
            each.MeanSpan.Should().Be(2.5);
            (float[] mean, float[] scale) = each.Normalization(FeatureNormalization.PerSlot, 3);
            // 1, 3, 8, 0 and 10, 20, 30, 40: the squared distances from the means are 38 and 500.
            mean.Should().Equal(3, 25, 0);
            Close(scale, 1 / Math.Sqrt(38 / 4.0), 1 / Math.Sqrt(125), 1);
            (mean, scale) = each.Normalization(FeatureNormalization.Global, 3);
            // All eight: their sum is 112, that of their squares 74 + 3000.
            Close(mean, 14, 14, 14);
            double deviation = Math.Sqrt(3074 / 8.0 - 196);
            Close(scale, 1 / deviation, 1 / deviation, 1 / deviation);
        }
        (float[] none, float[] one) = format.CreateStatistics().Normalization(FeatureNormalization.Global, 0);
        none.Should().Equal(0, 0, 0);
        one.Should().Equal(1, 1, 1);
        FluentActions.Invoking(() => front.Merge(new DenseFormat(3).CreateStatistics(), 1, 1)).Should().Throw<ArgumentException>()
            .WithMessage("*series and of other rows*");

        static void Close(float[] found, params double[] expected) =>
            found.Should().Equal(expected, (a, b) => Math.Abs(a - b) <= 2e-6 * Math.Abs(b));
    }

    [Fact]
    public void A_typical_series_lasts_as_long_as_the_others_and_has_their_means()
    {
        using DisposeScope scope = NewDisposeScope();
        var format = new SeriesFormat(2);
        FeatureStatistics statistics = format.CreateStatistics();
        statistics.Add(new RowValues([0, 0, 1, 10, 4, 0, 3, 20], default));
        foreach ((FeatureStatistics known, double span, float[] means) in new[]
        {
            (statistics, 4.0, new float[] { 2, 15 }), (format.CreateStatistics(), 1e-3, new float[] { 0, 0 }),
        })
        {
            using FeatureBatch typical = format.CreateTypical(known, 1);
            SeriesGroupRows group = ((SeriesRows)typical).Groups().Should().ContainSingle().Subject;
            typical.Count.Should().Be(1);
            group.Lengths.data<long>().ToArray().Should().Equal(2);
            group.Times.data<double>().ToArray().Should().Equal([0, span], (a, b) => Math.Abs(a - b) < 1e-12);
            group.Values.data<float>().ToArray().Should().Equal([.. means, .. means]);
        }
    }

    /// <summary>Lengths of series of a batch, and the groups: up to half as long again, and two observations more.</summary>
    [Theory]
    [InlineData(new[] { 4, 8 }, new[] { 2 })]
    [InlineData(new[] { 4, 9 }, new[] { 1, 1 })]
    [InlineData(new[] { 9, 4 }, new[] { 1, 1 })]
    [InlineData(new[] { 10, 17, 18 }, new[] { 2, 1 })]
    [InlineData(new[] { 18, 1, 10, 3, 17, 2 }, new[] { 3, 2, 1 })]
    [InlineData(new[] { 0, 2, 3 }, new[] { 2, 1 })]
    [InlineData(new int[0], new int[0])]
    public void Series_of_similar_length_are_filled_up_together(int[] lengths, int[] groups)
    {
        using DisposeScope scope = NewDisposeScope();
        List<float[]> rows = [.. lengths.Select((length, row) => Enumerable.Range(0, length)
            .SelectMany(k => new[] { k, 0.5f * k, 100 * row + k, -k }).ToArray())];
        using var batch = new SeriesRows(2, rows);
        batch.Count.Should().Be(lengths.Length);
        SeriesGroupRows[] found = [.. batch.Groups()];
        found.Select(group => group.Places.Length).Should().Equal(groups);
        found.SelectMany(group => group.Places).Should().Equal(Enumerable.Range(0, lengths.Length).OrderBy(row => lengths[row])
            .Select(row => (long)row), "shorter series first, and of equal ones those in front");
        foreach (SeriesGroupRows group in found)
        {
            int longest = Math.Max(1, group.Places.Max(place => lengths[place]));
            group.Values.shape.Should().Equal(group.Places.Length, longest, 2);
            group.Times.shape.Should().Equal(group.Places.Length, longest);
            group.Lengths.data<long>().ToArray().Should().Equal(group.Places.Select(place => (long)lengths[place]));
            for (int i = 0; i < group.Places.Length; i++)
                for (int k = 0; k < longest; k++)
                {
                    bool isThere = k < lengths[group.Places[i]];
                    float[] values = group.Values[i, k].data<float>().ToArray();
                    values.Should().Equal(isThere ? [100 * group.Places[i] + k, -k] : [float.NaN, float.NaN]);
                    group.Times[i, k].item<double>().Should().Be(isThere ? 1.5 * k : 0);
                }
        }
        FluentActions.Invoking(() => batch.ToDense()).Should().Throw<NotSupportedException>();
        batch.To(CPU).Should().BeSameAs(batch);
        SeriesRows changed = batch.Change((row, place) => [0, 0, place, row.Length]);
        foreach (SeriesGroupRows group in changed.Groups())
            group.Values.data<float>().ToArray().Should().Equal(
                group.Places.SelectMany(place => new float[] { place, 4 * lengths[place] }));
    }

    /// <summary>
    /// Rows of a store in a random order: neighbours of like length are dealt in batches over four batches, which then are shuffled.
    /// </summary>
    [Theory]
    [InlineData(40, 5)]
    [InlineData(43, 5)]
    [InlineData(7, 10)]
    [InlineData(12, 1)]
    public void An_epoch_has_like_with_like_and_a_last_batch_that_is_not_full_stays_the_last(int count, int batchSize)
    {
        var format = new SeriesFormat(1);
        using FeatureStore store = format.CreateStore(null);
        for (int i = 0; i < count; i++)
            store.Add(new RowValues([0, 0, i, .. new float[3 * (i % 9)]], default));
        long[] drawn = MemoryRows.Order(count, new Random(5)), order = [.. drawn];
        store.Arrange(order, batchSize, new Random(5));
        order.Order().Should().Equal(Enumerable.Range(0, count).Select(row => (long)row));

        long[][] expected = [.. drawn.Chunk(Math.Min(count, 4 * batchSize)).SelectMany(some => some.OrderBy(row => row % 9))
            .Chunk(batchSize)], found = [.. order.Chunk(batchSize)];
        found.Select(Text).Should().BeEquivalentTo(expected.Select(Text));
        if (count % batchSize > 0)
            found[^1].Should().Equal(expected[^1]);
        if (found.Length > 4)
            found.Select(Text).Should().NotEqual(expected.Select(Text), "the batches are shuffled");

        // Rows in memory come in such batches.
        var random = new Random(5);
        string[] sets = [.. MemoryRows.Order(count, random).Chunk(Math.Min(count, 4 * batchSize))
            .SelectMany(some => some.OrderBy(row => row % 9)).Chunk(batchSize).Select(Text)];
        using MemoryRows memory = MemoryRows.Of(format, store, null, null);
        memory.Batches(batchSize, 5).Select(batch =>
        {
            var numbers = new long[batch.Count];
            ((SeriesRows)batch.Features).Change((row, place) => [numbers[place] = (long)row[2]]);
            return Text(numbers);
        }).Should().BeEquivalentTo(sets);

        static string Text(long[] rows) => string.Join(' ', rows);
    }

    [Fact]
    public void Stores_and_pools_give_back_the_series_they_were_given()
    {
        using DisposeScope scope = NewDisposeScope();
        var format = new SeriesFormat(1);
        (format.IsSparse, format.MostPoolRows > 1 << 30).Should().Be((false, true));
        using FeatureStore store = format.CreateStore(null);
        FeaturePool pool = format.CreatePool(2);
        float[][] rows = [.. Enumerable.Range(0, 6).Select(i => Enumerable.Range(0, 3 * (1 + i % 3)).Select(k => 10f * i + k).ToArray())];
        foreach (float[] row in rows)
            store.Add(new RowValues(row, default));
        pool.Set(0, new RowValues(rows[4], default));
        pool.Set(1, new RowValues(rows[0], default));
        using FeatureBatch early = pool.ToBatch(2);
        pool.Set(0, new RowValues(rows[2], default));
        pool.Set(1, new RowValues(rows[3], default));
        pool.Row(0).Values.ToArray().Should().Equal(rows[2]);
        pool.Row(1).Values.ToArray().Should().Equal(rows[3]);
        using Tensor index = tensor(new long[] { 5, 1 });
        using FeatureStore chosen = store.Select([5, 1], index);
        using FeatureBatch late = pool.ToBatch(1), slice = store.Slice(1, 3), taken = store.Take([5, 1], index), part = chosen.Slice(0, 2);
        Rows(early).Should().BeEquivalentTo(new[] { rows[4], rows[0] }, "what a batch has is its own");
        Rows(late).Should().BeEquivalentTo(new[] { rows[2] });
        Rows(slice).Should().BeEquivalentTo(rows[1..4]);
        Rows(taken).Should().BeEquivalentTo(new[] { rows[5], rows[1] });
        Rows(part).Should().BeEquivalentTo(new[] { rows[5], rows[1] });
        (store.Count, chosen.Count, store.MoveTo(CPU)).Should().Be((6, 2, store));
        var seen = new List<(long, float)>();
        store.Visit((row, values) => seen.Add((row, values.Values[0])));
        seen.Should().Equal(Enumerable.Range(0, 6).Select(i => ((long)i, 10f * i)));

        static float[][] Rows(FeatureBatch batch)
        {
            var found = new float[batch.Count][];
            ((SeriesRows)batch).Change((row, place) => found[place] = row);
            return found;
        }
    }

    private sealed class Row
    {
        public double[] Times { get; set; } = [];

        public float[] SingleTimes => [.. Times.Select(time => (float)(time - Times[0]))];

        public float[] A { get; set; } = [];

        public float[] B { get; set; } = [];

        public float[] Odd { get; set; } = [];

        public float[] Fixed { get; set; } = [];

        public double[] DoubleA => [.. A.Select(value => (double)value)];

        public double[] DoubleB => [.. B.Select(value => (double)value)];

        public float[] Both => [.. A.Zip(B, (a, b) => new[] { a, b }).SelectMany(pair => pair)];

        public double[] DoubleBoth => [.. Both.Select(value => (double)value)];

        public VBuffer<float> SparseBoth
        {
            get
            {
                int[] places = [.. Enumerable.Range(0, Both.Length).Where(i => Both[i] != 0)];
                return new VBuffer<float>(Both.Length, places.Length, [.. places.Select(i => Both[i])], places);
            }
        }
    }
}
