using FsCheck;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Scoring;

/// <summary>
/// Random schemas, sizes, columns and orders: a scored view is its source and the scores, whatever is asked of it in what order.
/// </summary>
public sealed class CursorPropertyTests : IClassFixture<CursorPropertyTests.Model>
{
    private readonly MLContext _mlContext = new(1);
    private readonly NeuralOdeClassificationTransformer _model;

    public CursorPropertyTests(Model model) => _model = model.Transformer;

    // The batch of the scoring cursor is 256: sizes lie on both sides of its multiples.
    private static int RowCount(Random random) =>
        random.Next(4) switch { 0 => random.Next(4), 1 => 256 * random.Next(1, 3) + random.Next(-1, 2), _ => random.Next(700) };

    [SeededProperty(MaxTest = 40)]
    public void Every_column_passes_through_and_every_score_is_that_of_the_row_alone(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        IDataView source = Source(random, RowCount(random));
        IDataView scored = _model.Transform(source);
        bool shuffles = random.Next(2) == 0;
        int order = random.Next();

        DataViewSchema.Column[] asked = [.. scored.Schema.Where(column => random.Next(3) > 0)];
        DataViewSchema.Column[] passed = [.. asked.Where(column => column.Index < source.Schema.Count)];
        List<ReadRow> found = Cursors.Read(scored, asked, shuffles ? new Random(order) : null);
        DataViewSchema.Column[] inSource =
            [.. passed.Select(column => source.Schema[column.Index]).Append(source.Schema["Features"]).DistinctBy(column => column.Index)];
        List<ReadRow> expected = Cursors.Read(source, inSource, shuffles ? new Random(order) : null);

        found.Select(row => row.Position).Should().Equal(Enumerable.Range(0, expected.Count).Select(i => (long)i));
        found.Select(row => row.Id).Should().Equal(expected.Select(row => row.Id));
        foreach (DataViewSchema.Column column in passed)
            found.Select(row => row.Values[column.Name])
            .Should().Equal(expected.Select(row => row.Values[column.Name]), $"column {column.Name} passes through");
        if (asked.Any(column => column.Name == "Score"))
            found.Select(row => row.Values["Score"])
            .Should().Equal(expected.Select(row => Alone(row.Values["Features"])), "a row's score is its own");
    }

    [SeededProperty(MaxTest = 15)]
    public void Several_cursors_do_not_disturb_each_other_and_may_end_early(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        IDataView scored = _model.Transform(Source(random, RowCount(random)));
        List<ReadRow> expected = Cursors.Read(scored, scored.Schema);
        DataViewSchema.Column[][] columns =
            [.. Enumerable.Range(0, 3).Select(_ => scored.Schema.Where(column => random.Next(2) == 0).ToArray())];
        DataViewRowCursor[] cursors = [.. columns.Select(c => scored.GetRowCursor(c))];
        IEnumerator<ReadRow>[] readers = [.. cursors.Select((cursor, i) => Cursors.Rows(cursor, columns[i]).GetEnumerator())];
        var counts = new int[3];
        for (int step = 0; step < 900; step++)
        {
            int i = random.Next(3);
            if (cursors[i] is null || !readers[i].MoveNext())
                continue;
            ReadRow row = readers[i].Current;
            foreach ((string name, string value) in row.Values)
                value.Should().Be(expected[counts[i]].Values[name]);
            row.Id.Should().Be(expected[counts[i]++].Id);
            if (random.Next(300) == 0)
            {
                cursors[i].Dispose();
                cursors[i] = null!;
            }
        }
        foreach (DataViewRowCursor cursor in cursors)
            cursor?.Dispose();
    }

    [SeededProperty(MaxTest = 15)]
    public void Cursor_sets_and_row_mappers_say_the_same(DoNotShrink<int> seed)
    {
        var random = new Random(seed.Item);
        IDataView source = Source(random, RowCount(random));
        IDataView scored = _model.Transform(source);
        List<ReadRow> expected = Cursors.Read(scored, scored.Schema);

        DataViewRowCursor[] set = scored.GetRowCursorSet(scored.Schema, random.Next(1, 5));
        set.SelectMany(cursor => Cursors.Rows(cursor, scored.Schema).ToList())
            .OrderBy(row => row.Position).Select(row => row.Values["Score"])
            .Should().Equal(expected.Select(row => row.Values["Score"]));
        Array.ForEach(set, cursor => cursor.Dispose());

        IRowToRowMapper mapper = _model.GetRowToRowMapper(source.Schema);
        using DataViewRowCursor input = source.GetRowCursor(source.Schema);
        using DataViewRow mapped = mapper.GetRow(input, scored.Schema);
        Dictionary<string, Func<string>> getters =
            scored.Schema.ToDictionary(column => column.Name, column => Cursors.Getter(mapped, column));
        foreach (ReadRow row in expected)
        {
            input.MoveNext().Should().BeTrue();
            foreach ((string name, Func<string> read) in getters)
                read().Should().Be(row.Values[name], $"column {name} of the mapper");
        }
    }

    [Fact]
    public void What_a_cursor_cannot_give_is_refused_clearly()
    {
        IDataView scored = _model.Transform(_mlContext.Data.LoadFromEnumerable(EveryType.Rows(3, 1)));
        using DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["Score"]]);

        Action inactive = () => cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema["Text"]);
        inactive.Should().Throw<InvalidOperationException>().WithMessage("*'Text'*not active*");
        Action mistyped = () => cursor.GetGetter<double>(scored.Schema["Score"]);
        mistyped.Should().Throw<InvalidOperationException>().WithMessage("*'Score'*Double*");
        ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
        VBuffer<float> value = default;
        Action early = () => getter(ref value);
        early.Should().Throw<InvalidOperationException>().WithMessage("*MoveNext*");
        while (cursor.MoveNext())
            getter(ref value);
        early.Should().Throw<InvalidOperationException>();
        cursor.MoveNext().Should().BeFalse();
    }

    private IDataView Source(Random random, int count)
    {
        IDataView all =
            _mlContext.Data.LoadFromEnumerable(EveryType.Rows(count, random.Next()), SchemaDefinition.Create(typeof(EveryType)));
        string[] kept = [.. all.Schema.Select(column => column.Name).Where(name => name == "Features" || random.Next(3) > 0)];
        random.Shuffle(kept);
        return _mlContext.Transforms.SelectColumns(kept).Fit(all).Transform(all);
    }

    private string Alone(string features)
    {
        float[] x = [.. features.Trim('[', ']')
            .Split(' ').Select(text => float.Parse(text, System.Globalization.CultureInfo.InvariantCulture))];
        var scores = new float[_model.Model.OutputCount];
        _model.Model.Score(x, 1, scores);
        return $"[{string.Join(" ", scores.Select(score => score.ToString("R", System.Globalization.CultureInfo.InvariantCulture)))}]";
    }

    /// <summary>A model of three features and three classes.</summary>
    public sealed class Model : IDisposable
    {
        public Model()
        {
            var mlContext = new MLContext(1);
            IDataView data = mlContext.Data.LoadFromEnumerable(EveryType.Rows(64, 2)
                .Select((row, i) => new Labelled { Features = row.Features, Label = (uint)(i % 3) + 1 }));
            Transformer = mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => o.NumberOfEpochs = 1)).Fit(data);
        }

        internal NeuralOdeClassificationTransformer Transformer { get; }

        public void Dispose() => Transformer.Dispose();

        private sealed class Labelled
        {
            [VectorType(3)]
            public float[] Features { get; set; } = [];

            [KeyType(3)]
            public uint Label { get; set; }
        }
    }
}
