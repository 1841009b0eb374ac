using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>Tables of observations grouped into series.</summary>
public sealed class SeriesGroupingTests
{
    private static Observation[] Table =>
    [
        new() { Id = "b", Time = 1, A = 10, B = 20, Weight = 2 },
        new() { Id = "a", Time = -1, A = 1, B = double.NaN, Weight = 3 },
        new() { Id = "b", Time = 2.5, A = 11, B = 21, Weight = 2 },
        new() { Id = "a", Time = 0, A = float.NaN, B = 3, Weight = 3 },
        new() { Id = "c", Time = 7, A = 5, B = 6, Weight = 1 },
    ];

    private readonly MLContext _mlContext = new(1);

    private SeriesGroupingEstimator Estimator => _mlContext.Transforms.GroupIntoSeries("Id", "Time", ["A", "B"], ["Weight"]);

    [Fact]
    public void Rows_of_one_id_become_one_series_wherever_they_stand()
    {
        IDataView series = Group(Table);

        series.Schema.Select(column => (column.Name, column.Type.ToString())).Should().Equal(
            ("Id", "String"), ("Weight", "Single"), ("Times", "Vector<Double>"), ("Values", "Vector<Single>"));
        Rows(series).Should().Equal("b, 2, [1 2.5], [10 20 11 21]", "a, 3, [-1 0], [1 NaN NaN 3]", "c, 1, [7], [5 6]");
        Rows(series).Should().Equal(Rows(series));
    }

    [Fact]
    public void The_promised_columns_are_those_that_come_and_a_saved_transformer_does_the_same()
    {
        IDataView data = View(Table);
        ITransformer model = Estimator.Fit(data);

        DataViewSchema found = model.Transform(data).Schema;
        SchemaShape promised = Estimator.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema));
        promised.Select(column => (column.Name, column.Kind, column.ItemType.ToString())).Should().Equal(
            Interop.Schemas.ShapeOf(found).Select(column => (column.Name, column.Kind, column.ItemType.ToString())));
        model.GetOutputSchema(data.Schema).Select(column => (column.Name, column.Type.ToString()))
            .Should().Equal(found.Select(column => (column.Name, column.Type.ToString())));
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        Rows(_mlContext.Model.Load(stream, out _).Transform(data)).Should().Equal(Rows(model.Transform(data)));
        FluentActions.Invoking(() => model.GetRowToRowMapper(data.Schema))
            .Should().Throw<InvalidOperationException>().WithMessage("*several into one*");
    }

    [Fact]
    public void Keys_keep_their_values_and_dates_become_seconds()
    {
        IDataView table = _mlContext.Transforms.Conversion.MapValueToKey("Id").Fit(View(Table)).Transform(View(Table));
        IDataView series = _mlContext.Transforms.GroupIntoSeries("Id", "Day", ["A"]).Fit(table).Transform(table);

        VBuffer<ReadOnlyMemory<char>> names = default;
        series.Schema["Id"].GetKeyValues(ref names);
        names.DenseValues().Select(name => name.ToString()).Should().Equal("b", "a", "c");
        series.GetColumn<double[]>("Times").First().Should().Equal(86400, 2.5 * 86400);
    }

    [Theory]
    [InlineData(1.0, "*in row 5 (counted from 0) the time 1 comes a second time, as in row 2*")]
    [InlineData(0.5,
        "*in row 5 (counted from 0) the time is 0.5, after 1 in row 2 of the same series; times must increase: sort the rows by 'Time'*")]
    [InlineData(double.NaN, "*in row 5 (counted from 0) the time column 'Time' is missing*")]
    [InlineData(double.PositiveInfinity, "*in row 5 (counted from 0) the time column 'Time' is Infinity*")]
    public void Times_that_do_not_increase_are_named_with_their_rows(double time, string message)
    {
        Observation[] table = [.. Table, new() { Id = "b", Time = time, A = 1, Weight = 2 }];
        table[0].Time = 0;
        table[2].Time = 1;
        FluentActions.Invoking(() => Rows(Group(table))).Should().Throw<InvalidOperationException>().WithMessage(message);
    }

    [Fact]
    public void Other_bad_rows_are_named()
    {
        Bad(new() { Id = "b", Time = 9, Weight = 4 },
            "*row 5 * column 'Weight' is '4', but '2' in row 0 of the same series ('Id' is 'b')*");
        Bad(new() { Id = "", Time = 9 }, "*row 5 * the id column 'Id' has no value*");
        Bad(new() { Id = "c", Time = 9, A = float.PositiveInfinity, Weight = 1 }, "*row 5 * channel 'A' is*");

        void Bad(Observation row, string message) =>
            FluentActions.Invoking(() => Rows(Group([.. Table, row]))).Should().Throw<InvalidOperationException>().WithMessage(message);
    }

    [Fact]
    public void Columns_that_are_missing_or_of_another_type_are_named()
    {
        IDataView data = View(Table);
        foreach ((string id, string time, string channel, string named) in new[]
            { ("No", "Time", "A", "No"), ("Id", "Id", "A", "Id"), ("Id", "Time", "Id", "Id"), ("Id", "Time", "Vector", "Vector") })
        {
            SeriesGroupingEstimator estimator = _mlContext.Transforms.GroupIntoSeries(id, time, [channel]);
            FluentActions.Invoking(() => estimator.Fit(data)).Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*'{named}'*");
            FluentActions.Invoking(() => estimator.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema)))
                .Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*'{named}'*");
        }
        FluentActions.Invoking(() => _mlContext.Transforms.GroupIntoSeries("Id", "Time", [])).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => _mlContext.Transforms.GroupIntoSeries("Id", "Time", ["A", "A"]))
            .Should().Throw<ArgumentException>().WithMessage("*'A' is named twice*");
        FluentActions.Invoking(() => _mlContext.Transforms.GroupIntoSeries("Times", "Time", ["A"]))
            .Should().Throw<ArgumentException>().WithMessage("*'Times'*");
    }

    private IDataView Group(Observation[] table)
    {
        IDataView data = View(table);
        return Estimator.Fit(data).Transform(data);
    }

    private IDataView View(Observation[] table) => _mlContext.Data.LoadFromEnumerable(table);

    private static List<string> Rows(IDataView data) =>
        [.. Cursors.Read(data, data.Schema).Select(row => string.Join(", ", row.Values.Values))];

    private sealed class Observation
    {
        public string Id { get; set; } = "";

        public double Time { get; set; }

        public DateTime Day => DateTime.UnixEpoch.AddDays(double.IsFinite(Time) ? Time : 0);

        public float A { get; set; }

        public double B { get; set; }

        public float Weight { get; set; }

        [VectorType(2)]
        public float[] Vector { get; set; } = [1, 2];
    }
}
