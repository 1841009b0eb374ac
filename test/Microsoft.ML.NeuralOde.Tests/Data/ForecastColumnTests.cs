using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>What a table of series to forecast is taken for, by its columns.</summary>
public class ForecastColumnTests
{
    private const string OfTimes =
        "a number, a DateTime, a DateTimeOffset or a TimeSpan; beside series as vectors a vector of Single or Double";

    private readonly MLContext _mlContext = new(1);

    private Runtime.IExceptionContext Context => _mlContext;

    /// <summary>Columns, and what a row is with how many channels and which names.</summary>
    public static TheoryData<string, object, string> Good => new()
    {
        { "a number", new ForecastColumns("Number", null, null), "Numbers Number" },
        { "a number of the other type", new ForecastColumns("Double", null, null), "Numbers Double" },
        { "at a time", new ForecastColumns("Number", "Date", "Text"), "Numbers Number" },
        { "at a whole number", new ForecastColumns("Number", "Whole", "Key"), "Numbers Number" },
        { "at a moment", new ForecastColumns("Number", "Moment", null), "Numbers Number" },
        { "after a time", new ForecastColumns("Number", "Span", null), "Numbers Number" },
        { "numbers", new ForecastColumns("Number", null, null, ["Number", "Double"]), "Numbers Number Double" },
        { "as many as are asked for", new ForecastColumns("Number", null, null, ["Number", "Double"], 2), "Numbers Number Double" },
        { "a vector at a time", new ForecastColumns("Three", "Date", null), "Vectors Three[0] Three[1] Three[2]" },
        { "a vector of as many channels", new ForecastColumns("Three", null, null, null, 3), "Vectors Three[0] Three[1] Three[2]" },
        { "a vector of other numbers of channels is a series", new ForecastColumns("Three", null, null, null, 1), "Series Three" },
        { "a vector alone is a series", new ForecastColumns("Three", null, null), "Series Three" },
        { "a series at its times", new ForecastColumns("Any", "Times", null), "Series Any" },
        { "a series of two channels", new ForecastColumns("Any", "Times", null, null, 2), "Series Any[0] Any[1]" },
        { "a column of series a channel", new ForecastColumns("Any", "Times", "Text", ["Any", "Times"]), "Series Any Times" },
        { "with what goes on beside", new ForecastColumns("Number", "Date", null, null, null, ["Whole", "Double"]), "Numbers Number" },
        { "the same of series", new ForecastColumns("Any", "Times", null, null, null, ["Times"]), "Series Any" },
    };

    [Theory]
    [MemberData(nameof(Good), DisableDiscoveryEnumeration = true)]
    public void Columns_that_make_sense_are_found(string what, object given, string expected)
    {
        var columns = (ForecastColumns)given;
        IDataView data = Data();
        ForecastInput found = columns.Find(Context, data.Schema);
        $"{found.Rows} {string.Join(' ', found.ChannelNames)}".Should().Be(expected, what);
        found.Channels.Should().Be(found.ChannelNames.Length);
        (found.Times?.Name, found.Key?.Name).Should().Be((columns.Times, columns.Key));
        found.ExogenousNames.Should().Equal(columns.Exogenous ?? []);
        string?[] all = [.. columns.Channels ?? [columns.Values], columns.Times, columns.Key, .. columns.Exogenous ?? []];
        found.All.Select(column => column.Name).Should().Equal(all.OfType<string>());
        (found.Series.ChannelCount, found.Series.Columns.Count).Should().Be(
            (found.Channels, found.Values.Length + (columns.Times is null ? 0 : 1)));
        columns.Check(Context, Schemas.ShapeOf(data.Schema));
    }

    /// <summary>Columns, what is said of them, and whether it can be said before there are data.</summary>
    public static TheoryData<object, string, bool> Bad => new()
    {
        { new ForecastColumns("No", null, null), "*find series column 'No'*", true },
        { new ForecastColumns("Number", "No", null), "*find time column 'No'*", true },
        { new ForecastColumns("Number", null, "No"), "*find key column 'No'*", true },
        { new ForecastColumns("Number", null, null, null, null, ["No"]), "*find exogenous column 'No'*", true },
        { new ForecastColumns("Text", null, null),
            "*series column 'Text': expected Single or Double, or a vector of them of any length, got *", true },
        { new ForecastColumns("Whole", null, null),
            "*series column 'Whole': expected Single or Double, or a vector of them of any length, got *", true },
        { new ForecastColumns("Key", null, null),
            "*series column 'Key': expected Single or Double, or a vector of them of any length, got *", true },
        { new ForecastColumns("Number", null, null, ["Number", "Any"]),
            "*series column 'Any': expected columns that are all numbers or all vectors, got *", true },
        { new ForecastColumns("Any", null, null, ["Any", "Times", "Number"]),
            "*series column 'Number': expected columns that are all numbers or all vectors, got *", true },
        { new ForecastColumns("Number", "Text", null), $"*time column 'Text': expected {OfTimes}, got *", true },
        { new ForecastColumns("Number", "Key", null), $"*time column 'Key': expected {OfTimes}, got *", true },
        { new ForecastColumns("Number", "Times", null), $"*time column 'Times': expected {OfTimes}, got *", true },
        { new ForecastColumns("Any", "Wholes", null), $"*time column 'Wholes': expected {OfTimes}, got *", true },
        { new ForecastColumns("Any", "Wholes", null, null, 2), $"*time column 'Wholes': expected {OfTimes}, got *", true },
        { new ForecastColumns("Any", "Date", null, ["Any", "Times"]), $"*time column 'Date': expected {OfTimes}, got *", false },
        { new ForecastColumns("Any", "Date", null),
            "*series column 'Any': expected a vector of known size, the channels of an observation, got one of any length*", false },
        { new ForecastColumns("Number", null, null, ["Number", "Double"], 3),
            "*series column 'Number': expected 3 channels, got 2*", false },
        { new ForecastColumns("Number", null, null, null, 2), "*series column 'Number': expected 2 channels, got 1*", false },
        { new ForecastColumns("Three", "Date", null, null, 2), "*series column 'Three': expected 2 channels, got 3*", false },
        { new ForecastColumns("Number", null, "Times"), "*key column 'Times': expected a single value, got *", true },
        { new ForecastColumns("Number", null, null, null, null, ["Whole", "Text"]),
            "*exogenous column 'Text': expected a number; beside series as vectors a vector of Single or Double, got *", true },
        { new ForecastColumns("Any", "Times", null, null, null, ["Wholes"]),
            "*exogenous column 'Wholes': expected a number; beside series as vectors a vector of Single or Double, got *", false },
        { new ForecastColumns("Any", "Times", null, null, null, ["Number"]), "*exogenous column 'Number': expected a number; *", false },
    };

    [Theory]
    [MemberData(nameof(Bad), DisableDiscoveryEnumeration = true)]
    public void Columns_that_make_no_sense_are_named_with_their_role(object given, string message, bool isKnownBefore)
    {
        var columns = (ForecastColumns)given;
        IDataView data = Data();
        columns.Invoking(one => one.Find(Context, data.Schema)).Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
        if (isKnownBefore)
            columns.Invoking(one => one.Check(Context, Schemas.ShapeOf(data.Schema))).Should().Throw<ArgumentOutOfRangeException>()
                .WithMessage(message);
        else
            columns.Invoking(one => one.Check(Context, Schemas.ShapeOf(data.Schema))).Should().NotThrow();
    }

    private IDataView Data() => _mlContext.Data.LoadFromEnumerable(new[] { new Row() });

    private sealed class Row
    {
        public float Number { get; set; }

        public double Double { get; set; }

        public int Whole { get; set; }

        public string Text { get; set; } = "";

        [KeyType(4)]
        public uint Key { get; set; }

        public DateTime Date { get; set; }

        public DateTimeOffset Moment { get; set; }

        public TimeSpan Span { get; set; }

        [VectorType(3)]
        public float[] Three { get; set; } = [1, 2, 3];

        public float[] Any { get; set; } = [];

        public double[] Times { get; set; } = [];

        public int[] Wholes { get; set; } = [];
    }
}
