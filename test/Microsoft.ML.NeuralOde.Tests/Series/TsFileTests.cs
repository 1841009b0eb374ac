using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>Files of series of the formats .ts and .tsf as data views.</summary>
public sealed class TsFileTests : IDisposable
{
    private const string Classes =
        "@problemName Small\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n@classLabel true up down\n@data\n";

    private readonly MLContext _mlContext = new(1);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Channels_are_interleaved_lengths_are_kept_and_what_is_missing_is_NaN()
    {
        IDataView data = Ts($"# a comment\n{Classes}1,2,3:10,?,30:up\n\n4:40.5:down\n5,6:NaN,-6e1:?\n");

        data.Schema.Select(column => column.Name).Should().Equal("Values", "Label");
        Rows(data, "Values", "Label").Should().Equal("[1 10 2 NaN 3 30], 1", "[4 40.5], 2", "[5 NaN 6 -60], 0");
        VBuffer<ReadOnlyMemory<char>> names = default;
        data.Schema["Label"].GetKeyValues(ref names);
        names.DenseValues().Select(name => name.ToString()).Should().Equal("up", "down");
        int channels = 0;
        data.Schema["Values"].Annotations.GetValue("ChannelCount", ref channels);
        channels.Should().Be(2);
    }

    [Fact]
    public void Channels_of_unequal_lengths_are_filled_up() =>
        Rows(Ts($"{Classes}1,2,3:10:up\n:7,8:down\n"), "Values").Should().Equal("[1 10 2 NaN 3 NaN]", "[NaN 7 NaN 8]");

    [Fact]
    public void Times_of_all_channels_are_put_together()
    {
        IDataView data = Ts(
            "@timeStamps true\n@univariate false\n@classLabel true a b\n@data\n(0,1),(2.5,2):(0,5),(1,6),(2.5,7):a\n(-1,1),(3,?):(-1,2),(3,4):b\n");

        data.Schema["Times"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Double));
        Rows(data, "Times", "Values").Should().Equal("[0 1 2.5], [1 5 NaN 6 2 7]", "[-1 3], [1 2 NaN 4]");
    }

    [Fact]
    public void Dates_become_seconds() =>
        Rows(Ts("@timeStamps true\n@univariate true\n@data\n(1970-01-01 00:00:10,1),(1970-01-02,2)\n"), "Times")
        .Should().Equal("[10 86400]");

    [Fact]
    public void A_target_is_a_number_and_a_file_without_labels_has_no_label()
    {
        Rows(Ts("@univariate true\n@targetlabel true\n@data\n1,2:0.25\n3:?\n"), "Values", "Label")
            .Should().Equal("[1 2], 0.25", "[3], NaN");
        Ts("@univariate true\n@classLabel false\n@data\n1,2\n").Schema.Select(column => column.Name).Should().Equal("Values");
    }

    [Theory]
    [InlineData("1:2:up\n1,x:3,4:up\n", "*line 9: value 2 of channel 1 is 'x'*")]
    [InlineData("1:inf:up\n", "*line 8: value 1 of channel 2 is 'inf'*")]
    [InlineData("1:2:sideways\n", "*line 8: the class 'sideways' is none of up, down*")]
    [InlineData("1:2\n", "*line 8: there are 2 parts between colons; 2 channels and a label*")]
    [InlineData("1:2:3:up\n", "*line 8: there are 4 parts*")]
    [InlineData("::up\n", "*line 8: the series has no values*")]
    [InlineData("1:(2:up\n", "*line 8: a bracket is not closed*")]
    [InlineData("1:2):up\n", "*line 8: the bracket at character 4*")]
    public void A_line_that_is_wrong_is_named(string lines, string message) =>
        FluentActions.Invoking(() => Rows(Ts(Classes + lines), "Values")).Should().Throw<InvalidDataException>().WithMessage(message);

    [Theory]
    [InlineData("@univariate true\n@data\n", "*there is no series behind @data*")]
    [InlineData("@univariate true\n", "*there is no line @data*")]
    [InlineData("@univariate perhaps\n@data\n1\n", "*line 1: @univariate is 'perhaps'; true or false*")]
    [InlineData("@dimensions 0\n@data\n1\n", "*line 1: @dimensions is '0'; a positive whole number*")]
    [InlineData("@univariate true\n@dimensions 3\n@data\n1\n", "*line 2: @dimensions is 3, but @univariate is true*")]
    [InlineData("@colour red\n@data\n1\n", "*line 1: the tag @colour is not known*")]
    [InlineData("@classLabel true\n@data\n1:a\n", "*line 1: @classLabel names no classes*")]
    [InlineData("@classLabel true a a\n@data\n1:a\n", "*names a class twice*")]
    [InlineData("@classLabel true a\n@targetLabel true\n@data\n1:a\n", "*both @classLabel and @targetLabel*")]
    [InlineData("1,2,3\n", "*line 1: '1,2,3' stands before @data*")]
    [InlineData("@timeStamps true\n@data\n(1,2),(1,3)\n", "*line 3: time 2 of channel 1 is 1, after 1; times must increase*")]
    [InlineData("@timeStamps true\n@data\n(2,2),(1,3)\n", "*line 3: time 2 of channel 1 is 1, after 2*")]
    [InlineData("@timeStamps true\n@data\n(NaN,2)\n", "*line 3: time 1 of channel 1 is 'NaN'*")]
    [InlineData("@timeStamps true\n@data\n1,2\n", "*line 3: channel 1 has '1,2'; (time,value) would be right*")]
    [InlineData("@timeStamps true\n@data\n(1,2)(3,4)\n", "*line 3: channel 1 has '(3,4)' where a comma*")]
    [InlineData("@equalLength true\n@seriesLength 3\n@data\n1,2,3\n1,2\n",
        "*line 5: the series has 2 values a channel where 3 are announced*")]
    [InlineData("@equalLength true\n@data\n1,2,3\n1,2\n", "*line 4: the series has 2 values a channel where 3*")]
    [InlineData("@targetLabel true\n@data\n1:many\n", "*line 3: the label is 'many'; a number*")]
    public void A_file_that_is_wrong_is_refused(string content, string message) =>
        FluentActions.Invoking(() => Rows(Ts(content), "Values")).Should().Throw<InvalidDataException>().WithMessage(message);

    [Fact]
    public void A_missing_file_is_named() =>
        FluentActions.Invoking(() => _mlContext.Data.LoadFromTsFile(Path.Combine(_folder.Path, "none.ts")))
        .Should().Throw<FileNotFoundException>().WithMessage("*none.ts*");

    [Fact]
    public void Cursors_agree_and_start_afresh()
    {
        IDataView data = Ts($"{Classes}1,2:3,4:up\n5:6:down\n");

        List<ReadRow> all = Cursors.Read(data, data.Schema);
        Cursors.Read(data, data.Schema).Select(row => row.Values["Values"]).Should().Equal(all.Select(row => row.Values["Values"]));
        Cursors.Read(data, [data.Schema["Label"]])
            .Select(row => row.Id).Should().Equal(all.Select(row => row.Id)).And.OnlyHaveUniqueItems();
        using DataViewRowCursor cursor = data.GetRowCursor([data.Schema["Label"]]);
        FluentActions.Invoking(() => cursor.GetGetter<VBuffer<float>>(data.Schema["Values"]))
            .Should().Throw<InvalidOperationException>().WithMessage("*'Values' is not active*");
        FluentActions.Invoking(() => cursor.GetGetter<float>(data.Schema["Label"]))
            .Should().Throw<InvalidOperationException>().WithMessage("*cannot be read as Single*");
    }

    [Fact]
    public void A_file_for_forecasting_has_its_attributes_and_values()
    {
        IDataView data = Tsf(
            "# c\n@relation small\n@attribute series_name string\n@attribute start date\n@attribute size numeric\n@frequency daily\n@horizon 8\n@missing true\n@equallength false\n@data\nT1:1979-01-31 10-30-00:2.5:1,2,?\nT2:1980-02-01 00-00-00:3:4\n");

        data.Schema.Select(column => column.Name).Should().Equal("series_name", "start", "size", "Values");
        Rows(data, "series_name", "size", "Values").Should().Equal("T1, 2.5, [1 2 NaN]", "T2, 3, [4]");
        DateTime[] starts = [.. data.GetColumn<DateTime>("start")];
        starts.Should().Equal(new DateTime(1979, 1, 31, 10, 30, 0), new DateTime(1980, 2, 1));
        int horizon = 0;
        data.Schema["Values"].Annotations.GetValue("Horizon", ref horizon);
        horizon.Should().Be(8);
    }

    [Theory]
    [InlineData("T1:1,x\n", "*line 4: value 2 of channel 1 is 'x'*")]
    [InlineData("T1:2:3\n", "*line 4: there are 3 parts between colons; 1 attributes and values*")]
    [InlineData("T1:\n", "*line 4: the series has no values*")]
    [InlineData("", "*no series behind @data*")]
    [InlineData("T1:1,2\nT2:1\n", "*line 5: the series has 1 values, those before it 2*")]
    public void A_wrong_line_for_forecasting_is_named(string lines, string message) =>
        FluentActions.Invoking(() => Rows(Tsf("@attribute name string\n@equallength true\n@data\n" + lines), "Values"))
        .Should().Throw<InvalidDataException>().WithMessage(message);

    [Theory]
    [InlineData("@attribute name colour\n@data\n1\n", "*line 1: @attribute must have a name and a type*")]
    [InlineData("@attribute a string\n@attribute a string\n@data\n1\n", "*line 2: there are two columns 'a'*")]
    [InlineData("@attribute start date\n@data\nyesterday:1\n", "*line 3: 'start' is 'yesterday'; a date such as*")]
    [InlineData("@attribute size numeric\n@data\nlarge:1\n", "*line 3: 'size' is 'large'; a number*")]
    [InlineData("@frequency\n@data\n1\n", "*line 1: the tag @frequency has no value*")]
    public void A_wrong_file_for_forecasting_is_refused(string content, string message) =>
        FluentActions.Invoking(() => Rows(Tsf(content), "Values")).Should().Throw<InvalidDataException>().WithMessage(message);

    [TestData.RealData("timeseries")]
    public void The_archives_files_are_read()
    {
        foreach ((string name, int train, int channels,
            int most) in new[] { ("JapaneseVowels", 270, 12, 26), ("BasicMotions", 40, 6, 100), ("Covid3Month", 140, 1, 84) })
        {
            IDataView data = _mlContext.Data.LoadFromTsFile(TestData.RealDataAttribute.PathOf("timeseries", name, $"{name}_TRAIN.ts"));
            float[][] values = [.. data.GetColumn<float[]>("Values")];
            values.Should().HaveCount(train);
            values.Max(row => row.Length).Should().Be(most * channels);
            values.SelectMany(row => row).Should().OnlyContain(value => float.IsFinite(value));
        }
    }

    private IDataView Ts(string content) => _mlContext.Data.LoadFromTsFile(Write("small.ts", content));

    private IDataView Tsf(string content) => _mlContext.Data.LoadFromTsfFile(Write("small.tsf", content));

    private string Write(string name, string content)
    {
        string path = Path.Combine(_folder.Path, name);
        File.WriteAllText(path, content);
        return path;
    }

    private static List<string> Rows(IDataView data, params string[] columns) =>
        [.. Cursors.Read(data, data.Schema).Select(row => string.Join(", ", columns.Select(column => row.Values[column])))];
}
