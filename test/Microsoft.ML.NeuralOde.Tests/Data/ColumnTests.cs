using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Which columns can be a label, a weight, features or a series; refusals say the column, its role and what would do.</summary>
public class ColumnTests
{
    private readonly MLContext _mlContext = new(1);

    private Runtime.IExceptionContext Context => _mlContext;

    [Theory]
    [InlineData("key", "Key", "label", "a key (see mlContext.Transforms.Conversion.MapValueToKey)")]
    [InlineData("truth", "Bool", "label", "Boolean")]
    [InlineData("number", "Single Features", "label", "Single, or a vector of Single of known size")]
    [InlineData("condition", "Single Features", "condition", "Single, or a vector of Single of known size")]
    public void A_label_has_one_of_the_types_of_its_kind(string kind, string accepted, string role, string expected)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(EveryType.Rows(2, 1));
        SchemaShape shape = Schemas.ShapeOf(data.Schema);
        foreach (DataViewSchema.Column column in data.Schema)
        {
            LabelFormat format = Format(column.Name);
            (format.Column, format.Role).Should().Be((column.Name, role));
            if (accepted.Split(' ').Contains(column.Name))
            {
                format.Find(Context, data.Schema).Index.Should().Be(column.Index);
                format.Find(Context, shape).Name.Should().Be(column.Name);
                format.Width(column.Type).Should().Be(column.Name == "Features" ? 3 : 1);
                continue;
            }
            foreach (Action find in new Action[] { () => format.Find(Context, data.Schema), () => format.Find(Context, shape) })
                find.Should().Throw<ArgumentOutOfRangeException>()
                    .WithMessage($"*{role} column '{column.Name}': expected {expected}, got *");
        }
        foreach (Action find in new Action[] { () => Format("No").Find(Context, data.Schema), () => Format("No").Find(Context, shape) })
            find.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*find {role} column 'No'*");

        LabelFormat Format(string column) => kind switch
        {
            "key" => new KeyLabel(column),
            "truth" => new BooleanLabel(column),
            "number" => new NumberLabel(column),
            _ => new NumberLabel(column, "condition"),
        };
    }

    /// <summary>What would help is said behind the type that was found.</summary>
    [Theory]
    [InlineData("Numbers", "ConvertType makes numbers Single")]
    [InlineData("Pair", "ConvertType makes numbers Single")]
    [InlineData("Sparse", "put [VectorType(n)]")]
    [InlineData("Double", null)]
    [InlineData("Words", null)]
    [InlineData("Keys", null)]
    public void A_vector_that_is_no_label_is_told_what_would_make_it_one(string column, string? remedy)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(EveryType.Rows(2, 1));
        foreach (Action find in new Action[]
        {
            () => new NumberLabel(column).Find(Context, data.Schema),
            () => new NumberLabel(column).Find(Context, Schemas.ShapeOf(data.Schema)),
        })
        {
            string message = find.Should().Throw<ArgumentOutOfRangeException>().Which.Message;
            if (remedy is null)
                message.Should().NotContain(" (mlContext").And.NotContain("(put");
            else
                message.Should().Contain(remedy);
        }
    }

    [Fact]
    public void Features_are_vectors_of_Single_of_known_size_and_weights_are_Single()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(EveryType.Rows(2, 1));
        SchemaShape shape = Schemas.ShapeOf(data.Schema);
        foreach (DataViewSchema.Column column in data.Schema)
        {
            var features = new RowColumns(Context, column.Name);
            var weights = new RowColumns(Context, "Features", null, column.Name);
            if (column.Name == "Features")
            {
                features.FindFeatures(data.Schema).Index.Should().Be(column.Index);
                features.FindInputs(data.Schema).Should().ContainSingle().Which.Name.Should().Be("Features");
                features.CheckInputs(shape);
                features.ShapeIn(data.Schema).Should().Be(new RowShape(3, 0, IsWeighted: false));
                features.FindWeight(data.Schema).Should().BeNull();
            }
            else
                foreach (Action find in new Action[] { () => features.FindFeatures(data.Schema), () => features.CheckInputs(shape) })
                    find.Should().Throw<ArgumentOutOfRangeException>()
                        .WithMessage($"*feature column '{column.Name}': expected a vector of Single of known size, got *");
            if (column.Name == "Single")
                weights.FindWeight(data.Schema)!.Value.Index.Should().Be(column.Index);
            else
                FluentActions.Invoking(() => weights.FindWeight(data.Schema)).Should().Throw<ArgumentOutOfRangeException>()
                    .WithMessage($"*weight column '{column.Name}': expected Single, got {column.Type}*");
        }
        FluentActions.Invoking(() => new RowColumns(Context, "No").FindFeatures(data.Schema)).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*find feature column 'No'*");
        FluentActions.Invoking(() => new RowColumns(Context, "Features", null, "No").FindWeight(data.Schema)).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*find weight column 'No'*");
        var all = new RowColumns(Context, "Features", new NumberLabel("Features"), "Single");
        RowShape found = all.ShapeIn(data.Schema);
        found.Should().Be(new RowShape(3, 3, IsWeighted: true));
        // Three features, three numbers of a label, one weight.
        (found.LabelBytes, found.Bytes, (found with { IsWeighted = false }).Bytes).Should().Be((16, 28, 24));
    }

    /// <summary>Of a class's numbers ML.NET makes keys from 1 on, and of those that are too large none.</summary>
    [Theory]
    [InlineData("Bytes")]
    [InlineData("Ints")]
    public void Keys_are_classes_from_0_on_and_rows_without_one_are_left_out(string column)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(new uint[] { 1, 0, 3, 2 }.Select(key => new Keys(key)).ToArray());
        Labels(data, new KeyLabel(column)).Should().Equal(1, 0, 2);
        Labels(data, new KeyLabel(column, [2, 0, 1])).Should().Equal(0, 2, 1);
    }

    [Fact]
    public void Numbers_that_are_missing_or_infinite_are_no_label_and_true_is_1()
    {
        float[] given = [1, float.NaN, -2, float.PositiveInfinity, 0];
        IDataView data = _mlContext.Data.LoadFromEnumerable(
            given.Select((value, i) => new TableRow { Features = [1, 2], Target = value, Targets = [5, value], Label = i % 2 == 1 })
                .ToArray(), Sized());
        Labels(data, new NumberLabel("Target")).Should().Equal(1, -2, 0);
        Labels(data, new NumberLabel("Targets")).Should().Equal(5, 1, 5, -2, 5, 0);
        Labels(data, new BooleanLabel("Label")).Should().Equal(0, 1, 0, 1, 0);

        static SchemaDefinition Sized()
        {
            var schema = SchemaDefinition.Create(typeof(TableRow));
            schema["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2);
            return schema;
        }
    }

    /// <summary>Where a series and its times are looked for, what is found, and what is said where they do not suit.</summary>
    [Theory]
    [InlineData("Numbers", null, null, false, "Numbers/1")]
    [InlineData("Features", null, null, false, "Features/1")]
    [InlineData("Features", null, 3, false, "Features/3")]
    [InlineData("Sparse Numbers", null, null, false, "Sparse Numbers/2")]
    [InlineData("Features", "Numbers", 3, false, "Features Numbers/3")]
    [InlineData("Features", "No", 3, true, "Features/3")]
    [InlineData("Features", "Numbers", 3, true, "Features Numbers/3")]
    [InlineData("Features", "No", 3, false, "*find time column 'No'*")]
    [InlineData("Features", "Double", null, true, "*time column 'Double': expected a vector of Single or Double, of any length, got *")]
    [InlineData("Single", null, null, false, "*series column 'Single': expected a vector of Single or Double, of any length, got *")]
    [InlineData("Features Pair", null, null, false, "*series column 'Pair': expected a vector of Single or Double, of any length, got *")]
    [InlineData("Keys", null, null, false, "*series column 'Keys': expected a vector of Single or Double, of any length, got *")]
    [InlineData("No", null, null, false, "*find series column 'No'*")]
    public void Columns_of_series_are_vectors_of_numbers(string values, string? times, int? channels, bool mayBeMissing, string expected)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(EveryType.Rows(2, 1));
        SchemaShape shape = Schemas.ShapeOf(data.Schema);
        var columns = new SeriesColumns(times, values.Split(' '), channels, mayBeMissing);
        if (!expected.StartsWith('*'))
        {
            SeriesInput found = columns.Find(Context, data.Schema);
            $"{string.Join(' ', found.Columns.Select(column => column.Name))}/{found.ChannelCount}".Should().Be(expected);
            columns.Check(Context, shape);
            return;
        }
        columns.Invoking(one => one.Find(Context, data.Schema)).Should().Throw<ArgumentOutOfRangeException>().WithMessage(expected);
        columns.Invoking(one => one.Check(Context, shape)).Should().Throw<ArgumentOutOfRangeException>().WithMessage(expected);
    }

    [Theory]
    [InlineData(null, 2, null, 2)]
    [InlineData(2, 2, null, 2)]
    [InlineData(3, 0, null, 3)]
    [InlineData(1, 2, "*series column 'Values': expected a column of 1 channel, got one of 2 channels*", 0)]
    [InlineData(4, 1, "*series column 'Values': expected a column of 4 channels, got one of 1 channel*", 0)]
    public void A_column_may_say_how_many_channels_it_has(int? asked, int told, string? refusal, int expected)
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumn("Values", new VectorDataViewType(NumberDataViewType.Single), SeriesAnnotations.Of(told, "hourly", 24));
        DataViewSchema schema = builder.ToSchema();
        var columns = new SeriesColumns(null, ["Values"], asked);
        if (refusal is null)
            columns.Find(Context, schema).ChannelCount.Should().Be(expected);
        else
            columns.Invoking(one => one.Find(Context, schema)).Should().Throw<ArgumentOutOfRangeException>().WithMessage(refusal);
        schema["Values"].Annotations.Schema.Select(annotation => annotation.Name).Should().Equal("ChannelCount", "Frequency", "Horizon");
        int horizon = 0;
        schema["Values"].Annotations.GetValue("Horizon", ref horizon);
        horizon.Should().Be(24);
        SeriesAnnotations.Of(1).Schema.Should().ContainSingle("what is not known is not written");
        SeriesAnnotations.ChannelCountOf(schema["Values"]).Should().Be(told > 0 ? told : null);
    }

    private List<float> Labels(IDataView data, LabelFormat label)
    {
        var columns = new RowColumns(Context, "Features", label);
        var found = new List<float>();
        using var reader = new RowReader(data, columns, new DenseFormat(columns.ShapeIn(data.Schema).Features));
        while (reader.MoveNext())
            found.AddRange(reader.Labels);
        return found;
    }

    private sealed class Keys(uint key)
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [1];

        [KeyType(3)]
        public byte Bytes { get; set; } = (byte)key;

        [KeyType(3)]
        public uint Ints { get; set; } = key;
    }
}
