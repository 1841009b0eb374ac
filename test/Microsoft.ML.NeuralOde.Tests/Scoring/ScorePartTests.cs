using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>The parts of scoring one by one, with a scorer that does arithmetic: columns, cursors, rows and series.</summary>
public class ScorePartTests
{
    private readonly MLContext _mlContext = new(1);

    /// <summary>Outputs, and the key of the largest: the first of equal ones, 0 where one is missing.</summary>
    [Theory]
    [InlineData(new[] { 1f, 3, 2 }, 2u)]
    [InlineData(new[] { 5f, 3, 2 }, 1u)]
    [InlineData(new[] { 1f, 3, 4 }, 3u)]
    [InlineData(new[] { 2f, 7, 7 }, 2u)]
    [InlineData(new[] { -3f, -2, -1 }, 3u)]
    [InlineData(new[] { float.NaN, float.NaN, float.NaN }, 0u)]
    [InlineData(new[] { 4f }, 1u)]
    public void The_predicted_key_is_the_place_of_the_largest_output(float[] outputs, uint key)
    {
        var column = new ArgMaxKey("K", outputs.Length, Empty);
        column.Type.Should().Be(new KeyDataViewType(typeof(uint), outputs.Length));
        Value<uint>(column, outputs).Should().Be(key);
    }

    [Fact]
    public void Columns_take_their_part_of_the_outputs()
    {
        float[] outputs = [1, 2, 3, 4, 5];
        Vector(new VectorScore("V", 5, Empty)).Should().Equal(outputs);
        Vector(new VectorScore("V", 2, Empty)).Should().Equal(4, 5);
        Vector(new VectorScore("V", 2, Empty, first: 1)).Should().Equal(2, 3);
        Vector(new VectorScore("V", 2, Empty, first: 0)).Should().Equal(1, 2);
        new VectorScore("V", 6, Empty, shape: [2, 3]).Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 2, 3));
        new VectorScore("V", 6, Empty).Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 6));
        Value<float>(new NumberScore("N", 3, Empty), outputs).Should().Be(4);
        Value<float>(new ConvertedScore("C", 1, value => 10 * value, Empty), outputs).Should().Be(20);
        foreach ((float threshold, bool isAbove) in new[] { (2.9f, true), (3, false), (3.1f, false) })
            Value<bool>(new AboveThreshold("A", 2, threshold, ifMissing: true, Empty), outputs).Should().Be(isAbove);
        foreach (bool ifMissing in new[] { true, false })
            Value<bool>(new AboveThreshold("A", 0, 0, ifMissing, Empty), [float.NaN]).Should().Be(ifMissing);

        float[] Vector(ScoreColumn column) => [.. Value<VBuffer<float>>(column, outputs).DenseValues()];
    }

    /// <summary>
    /// Rows that are read before the first one is given: 256, or as many as 32 MiB of inputs and outputs hold, or of what they take
    /// themselves, the four bytes of the number that passes through among it; without a score what is set aside does not count.
    /// </summary>
    [Theory]
    [InlineData(1, 1, 0, true, 256)]
    [InlineData(32_767, 1, 0, true, 256)]
    [InlineData(32_768, 1, 0, true, 255)]
    [InlineData(1, 65_535, 0, true, 128)]
    [InlineData(16 << 20, 1, 0, true, 1)]
    [InlineData(16 << 20, 1, 0, false, 256)]
    [InlineData(0, 1, (8 << 20) - 4, true, 4)]
    [InlineData(0, 1, (8 << 20) - 5, true, 5)]
    [InlineData(0, 1, 64 << 20, true, 1)]
    public void As_many_rows_are_read_ahead_as_fit(int inputs, int outputs, int bytes, bool scores, int expected)
    {
        int taken = 0;
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows(600));
        var scorer = new Doubling(inputs, outputs) { Bytes = bytes };
        ScoredView view = View(data, scorer);
        DataViewSchema.Column[] columns = scores ? [view.Schema["X"], view.Schema["S"]] : [view.Schema["X"]];
        using DataViewRowCursor cursor = view.GetRowCursor(columns);
        cursor.Batch.Should().Be(-1);
        cursor.Position.Should().Be(-1);
        cursor.MoveNext().Should().BeTrue();
        taken.Should().Be(expected);
        if (scores)
            scorer.Capacity.Should().BeGreaterThanOrEqualTo(expected);
        float x = 0, s = 0;
        ValueGetter<float> getX = cursor.GetGetter<float>(view.Schema["X"]);
        ValueGetter<float>? getS = scores ? cursor.GetGetter<float>(view.Schema["S"]) : null;
        for (int i = 0; i < 600 && (scores || i == 0); i++, cursor.MoveNext())
        {
            getX(ref x);
            getS?.Invoke(ref s);
            (x, s, cursor.Position).Should().Be((i, scores ? 2 * i : 0, i));
        }

        IEnumerable<Row> Rows(int count)
        {
            for (int i = 0; i < count; i++)
            {
                taken++;
                yield return new Row { X = i };
            }
        }
    }

    [Fact]
    public void A_view_is_not_shuffled_where_the_scorer_needs_the_order_and_asks_its_input_for_what_it_reads()
    {
        IDataView data = _mlContext.Data.Cache(_mlContext.Data.LoadFromEnumerable(new Row[] { new() { X = 1 }, new() { X = 2 } }));
        data.CanShuffle.Should().BeTrue();
        View(data, new Doubling(1, 1)).CanShuffle.Should().BeTrue();
        ScoredView ordered = View(data, new Doubling(1, 1) { NeedsOrder = true });
        ordered.CanShuffle.Should().BeFalse();
        ordered.GetRowCount().Should().Be(data.GetRowCount());
        for (int seed = 0; seed < 8; seed++)
            Cursors.Read(ordered, [ordered.Schema["X"]], new Random(seed)).Select(row => row.Values["X"]).Should().Equal("1", "2");

        ScoredSchema schema = Schema(data);
        Names(schema.Dependencies([schema.Output["S"]])).Should().Equal("X");
        Names(schema.Dependencies([schema.Output["Y"]])).Should().Equal("Y");
        Names(schema.Dependencies([schema.Output["S"], schema.Output["Y"], schema.Output["X"]])).Should().Equal("X", "Y");
        Names(schema.Dependencies([])).Should().BeEmpty();
        (schema.IsScore(1), schema.IsScore(2)).Should().Be((false, true));

        IReadOnlyList<DataViewSchema.Column> series =
            new ScorerColumns(data.Schema["X"], data.Schema["Y"], new SeriesInput(data.Schema["X"], [data.Schema["Y"]], 1)).All;
        Names(series).Should().Equal("Y", "X", "Y");
        Names(new ScorerColumns(data.Schema["X"], data.Schema["Y"]).All).Should().Equal("X", "Y");
        Names(new ScorerColumns(data.Schema["X"]).All).Should().Equal("X");

        static IEnumerable<string> Names(IEnumerable<DataViewSchema.Column> columns) => columns.Select(column => column.Name);
    }

    [Fact]
    public void A_row_is_scored_once_however_many_of_its_scores_are_asked_for()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(new Row[] { new() { X = 1 }, new() { X = 2 }, new() { X = 3 } });
        var scorer = new Doubling(1, 2);
        ScoredSchema schema = Schema(data);
        using DataViewRowCursor input = data.GetRowCursor(data.Schema);
        var mapper = new RowMapper(schema, scorer);
        mapper.InputSchema.Should().BeSameAs(data.Schema);
        DataViewRow row = ((IRowToRowMapper)mapper).GetRow(input, [schema.Output["S"]]);
        ValueGetter<float> first = row.GetGetter<float>(schema.Output["S"]), second = row.GetGetter<float>(schema.Output["S"]),
            x = row.GetGetter<float>(schema.Output["X"]);
        float value = 0;
        for (int i = 1; i <= 3; i++)
        {
            input.MoveNext();
            row.Position.Should().Be(i - 1);
            first(ref value);
            second(ref value);
            value.Should().Be(2 * i);
            x(ref value);
            value.Should().Be(i);
            scorer.Scored.Should().Be(i);
        }
        scorer.Capacity.Should().Be(1);
        row.IsColumnActive(schema.Output["S"]).Should().BeTrue();
        row.IsColumnActive(schema.Output["Y"]).Should().BeTrue("the input has it");
        FluentActions.Invoking(() => ((IRowToRowMapper)mapper).GetRow(null!, [])).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Series_that_say_nothing_have_no_scores_and_the_others_have_their_own()
    {
        // Values of series; the second has none, the fourth is missing altogether.
        IDataView data = _mlContext.Data.LoadFromEnumerable(new SeriesRow[]
        {
            new() { Values = [1, 2, 3] }, new() { Values = [] }, new() { Values = [5] }, new() { Values = [float.NaN] },
            new() { Values = [7, 8] },
        });
        using DataViewRowCursor cursor = data.GetRowCursor(data.Schema);
        var input = new SeriesInput(null, [data.Schema["Values"]], 1);
        int calls = 0;
        var scoring = new SeriesScoring(new SeriesReader(cursor, input), new SeriesFormat(1), 2, (series, outputs) =>
        {
            calls++;
            for (int i = 0; i < series.Count; i++)
                (outputs[2 * i], outputs[2 * i + 1]) = (series[i].Length / 3, series[i][2]);
        });
        float[] found = new float[10];
        while (cursor.MoveNext())
            scoring.Read();
        scoring.Count.Should().Be(5);
        scoring.Score(found);
        found.Should().Equal([3, 1, float.NaN, float.NaN, 1, 5, float.NaN, float.NaN, 2, 7], (a, b) => a.Equals(b));
        calls.Should().Be(1);
        scoring.Clear();
        scoring.Count.Should().Be(0);
        found[0] = -1;
        scoring.Score(found);
        (calls, found[0]).Should().Be((1, -1), "there is nothing to score");
    }

    [Fact]
    public void What_was_disposed_of_says_so_whatever_is_asked()
    {
        var shared = new SharedNetwork<MemoryStream>(new MemoryStream(), typeof(NeuralOdeModel));
        shared.Value.CanRead.Should().BeTrue();
        shared.Invoking(s => s.ThrowIfDisposed()).Should().NotThrow();
        shared.Dispose();
        shared.Invoking(s => s.Value).Should().Throw<ObjectDisposedException>().WithMessage("*NeuralOdeModel*");
        shared.Invoking(s => s.ThrowIfDisposed()).Should().Throw<ObjectDisposedException>();
    }

    private static DataViewSchema.Annotations Empty => new DataViewSchema.Annotations.Builder().ToAnnotations();

    private static ScoredSchema Schema(IDataView data) =>
        new(data.Schema, new ScorerColumns(data.Schema["X"]), [new NumberScore("S", 0, Empty)]);

    private static ScoredView View(IDataView data, Doubling scorer) => new(data, Schema(data), scorer);

    private static T Value<T>(ScoreColumn column, float[] outputs)
    {
        T value = default!;
        ((ValueGetter<T>)column.Getter(() => outputs))(ref value);
        return value;
    }

    /// <summary>Twice the number, in all outputs.</summary>
    private sealed class Doubling(int inputs, int outputs) : IRowScorer
    {
        public int OutputCount => outputs;

        public int InputCount => inputs;

        public bool NeedsOrder { get; init; }

        /// <summary>What a row says that it takes.</summary>
        public long Bytes { get; init; }

        public int Capacity { get; private set; }

        public int Scored { get; private set; }

        public RowScoring Open(DataViewRow row, ScoredSchema schema, int capacity)
        {
            Capacity = capacity;
            return new Numbers(this, row.GetGetter<float>(schema.Inputs.Features), outputs);
        }

        private sealed class Numbers(Doubling owner, ValueGetter<float> get, int outputs) : RowScoring
        {
            private readonly List<float> _read = [];

            public override void Clear()
            {
                base.Clear();
                _read.Clear();
            }

            public override long Read()
            {
                float value = 0;
                get(ref value);
                _read.Add(value);
                Count++;
                return owner.Bytes;
            }

            public override void Score(float[] found)
            {
                owner.Scored += Count;
                for (int i = 0; i < Count; i++)
                    found.AsSpan(i * outputs, outputs).Fill(2 * _read[i]);
            }
        }
    }

    private sealed class Row
    {
        public float X { get; set; }

        public float Y { get; set; }
    }

    private sealed class SeriesRow
    {
        public float[] Values { get; set; } = [];
    }
}
