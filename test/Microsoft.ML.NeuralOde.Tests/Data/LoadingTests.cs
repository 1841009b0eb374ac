using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Rows on their way into memory, from there to other places, and the values of classes on their way into a file.</summary>
public class LoadingTests
{
    private readonly MLContext _mlContext = new(1);

    /// <summary>Rows without use, and what is said of them: of what they were for, and in which columns.</summary>
    [Theory]
    [InlineData(0, false, true, "The data set is empty: there is no row to train on in the columns 'Features' and 'Target'.")]
    [InlineData(0, true, true, "The validation data set is empty: there is no row to validate on in the columns 'Features' and 'Target'.")]
    [InlineData(0, false, false, "The data set is empty: there is no row to train on in the column 'Features'.")]
    [InlineData(3, false, true, "There is no row to train on: 3 rows have no value in the label column 'Target'.")]
    [InlineData(2, true, true, "There is no row to validate on: 2 rows have no value in the label column 'Target'.")]
    public void Without_a_row_that_can_be_used_it_is_said_why(int rows, bool isValidation, bool isLabelled, string message)
    {
        IDataView data = TabularData.View(
            _mlContext, [.. Enumerable.Range(0, rows).Select(i => new TableRow { Features = [i, 1], Target = float.NaN })]);
        RowColumns columns = Columns(isLabelled);
        foreach (long budget in new[] { 0L, 1 << 20 })
        {
            var warnings = new List<string>();
            var loader = new RowLoader(columns, budget, warnings.Add, () => { });
            RowUse use = isValidation ? RowUse.Validation : RowUse.Training;
            FluentActions.Invoking(() => loader.Load(data, use)).Should().Throw<InvalidOperationException>().WithMessage(message);
            warnings.Should().BeEmpty("the exception says it");
            loader.LoadAny(data, use, new DenseFormat(2)).Should().BeNull("other processes may have rows");
            if (rows > 0)
                warnings.Should().NotBeEmpty().And.OnlyContain(line => line == (isValidation ? "In the validation data: " : "")
                    + $"{rows} rows have no value in the label column 'Target'. They are left out.");
        }
    }

    /// <summary>Of three rows one that lacks its label, its weight, its feature, or nothing: that alone is said.</summary>
    [Theory]
    [InlineData(float.NaN, 1, 2, "1 rows have no value in the label column 'Target'. They are left out.")]
    [InlineData(0, float.NaN, 2, "1 rows have no value in the weight column 'Weight'. They are left out.")]
    [InlineData(0, 1, float.NaN, "1 rows have values in the feature column 'Features' that are missing or infinite, NaN in row 1, *")]
    [InlineData(0, 1, 2, null)]
    public void What_a_row_is_left_out_for_is_said_alone(float label, float weight, float feature, string? message)
    {
        IDataView data = TabularData.View(_mlContext,
        [
            new() { Features = [1, 2] }, new() { Features = [feature, 4], Target = label, Weight = weight }, new() { Features = [2, 3] },
        ]);
        var warnings = new List<string>();
        RowColumns columns = Columns() with { WeightColumn = "Weight" };
        using ITrainingRows rows = new RowLoader(columns, 1 << 20, warnings.Add, () => { }).Load(data);
        rows.Count.Should().Be(message is null ? 3 : 2);
        if (message is null)
            warnings.Should().BeEmpty();
        else
            warnings.Should().ContainSingle().Which.Should().Match(message);

        // With what stands in for missing features such a row stays.
        var filling = new FeatureFilling();
        filling.Learn(data, columns, () => { });
        using ITrainingRows filled = new RowLoader(columns with { Filling = filling }, 1 << 20, _ => { }, () => { }).Load(data);
        filled.Count.Should().Be(float.IsNaN(label + weight) ? 2 : 3);
        using RowBatch batch = filled.Batches(3).Single();
        if (filled.Count == 3)
            Numbers(batch.Features.ToDense()).Should().Equal(1, 2, float.IsNaN(feature) ? 1 : feature, 4, 2, 3);
    }

    [Theory]
    [InlineData(1L << 20, 1)]
    // A stream looks at all rows by itself, and where they are too many for memory that is seen before the first.
    [InlineData(0, 1)]
    public void Whether_to_go_on_is_asked_every_256_rows(long budget, int passes)
    {
        int asked = 0;
        using ITrainingRows rows = new RowLoader(Columns(), budget, _ => { }, () => asked++)
            .Load(TabularData.View(_mlContext, TabularData.Circle(1000)));
        asked.Should().Be(4 * passes);
        int before = asked;
        using (ITrainingRows more = new RowLoader(Columns(), budget, _ => { }, () => asked++)
            .Load(TabularData.View(_mlContext, TabularData.Circle(1025))))
            (asked - before).Should().Be(5 * passes);
        FluentActions.Invoking(() => new RowLoader(Columns(), budget, _ => { }, () => throw new OperationCanceledException())
            .Load(TabularData.View(_mlContext, TabularData.Circle(10)))).Should().Throw<OperationCanceledException>();
    }

    /// <summary>Memory is taken in pieces where the number of rows is not known; rows at the seams.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(8191)]
    [InlineData(8192)]
    [InlineData(8193)]
    [InlineData(20_000)]
    public void Rows_whose_number_is_not_known_are_all_there_in_their_order(int count)
    {
        IDataView all = TabularData.View(
            _mlContext, [.. Enumerable.Range(0, count).Select(i => new TableRow { Features = [i, -i], Target = i })]);
        foreach (IDataView data in new[] { all, _mlContext.Data.FilterRowsByColumn(all, "Target", -1, count) })
        {
            using ITrainingRows rows = new RowLoader(Columns(), 1 << 30, _ => { }, () => { }).Load(data);
            using RowBatch batch = rows.Batches(count).Single();
            batch.Features.ToDense().contiguous().data<float>().ToArray().Should()
                .Equal(Enumerable.Range(0, count).SelectMany(i => new float[] { i, -i }));
            batch.Labels!.contiguous().data<float>().ToArray().Should().Equal(Enumerable.Range(0, count).Select(i => (float)i));
            (rows.Count, rows.Statistics.Count, rows.HeldCount).Should().Be((count, count, count));
            rows.Unite([1, 2]).Should().Equal(1, 2);
        }
    }

    /// <summary>Features that a function makes of others, piece by piece; all else stays with the rows.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(8192)]
    [InlineData(8193)]
    public void Mapped_rows_keep_their_labels_weights_and_statistics(int count)
    {
        using DisposeScope scope = NewDisposeScope();
        using var rows = (MemoryRows)new RowLoader(Columns() with { WeightColumn = "Weight" }, 1 << 30, _ => { }, () => { }).Load(
            TabularData.View(_mlContext,
                [.. Enumerable.Range(0, count).Select(i => new TableRow { Features = [i, 2], Target = i, Weight = 1 + i % 3 })]));
        using MemoryRows mapped = rows.Map(x => x * 3 + 1);
        (rows.IsMapped, mapped.IsMapped, mapped.Count).Should().Be((false, true, count));
        mapped.Statistics.Should().BeSameAs(rows.Statistics);
        mapped.MoveTo(CPU).Should().BeSameAs(mapped);
        foreach (int? seed in new int?[] { null, 3 })
            foreach ((RowBatch before, RowBatch after) in rows.Batches(500, seed).Zip(mapped.Batches(500, seed)))
            {
                (before.IsMapped, after.IsMapped, after.Count).Should().Be((false, true, before.Count));
                Numbers(after.Features.ToDense()).Should().Equal(Numbers(before.Features.ToDense()).Select(x => 3 * x + 1));
                Numbers(after.Labels!).Should().Equal(Numbers(before.Labels!));
                Numbers(after.Weights!).Should().Equal(Numbers(before.Weights!));
            }
        mapped.Cut([1], 1, 3, 0).Should().ContainSingle().Which.IsMapped.Should().BeTrue();
        using MemoryRows some = rows.Select([2, 0]);
        using RowBatch chosen = some.Batches(5).Single();
        Numbers(chosen.Features.ToDense()).Should().Equal(2, 2, 0, 2);
        Numbers(chosen.Weights!).Should().Equal(3, 1);
        some.Statistics.Labels().Mean.Should().Equal(1);
    }

    /// <summary>Values of a slot, and the one in the middle, of two the lower one.</summary>
    [Theory]
    [InlineData(new[] { 3f }, 3f)]
    [InlineData(new[] { 3f, 1 }, 1f)]
    [InlineData(new[] { 3f, 1, 2 }, 2f)]
    [InlineData(new[] { 3f, 1, float.NaN, 2, 7 }, 2f)]
    [InlineData(new[] { float.PositiveInfinity, 1, float.NegativeInfinity, 4, 9 }, 4f)]
    [InlineData(new[] { float.NaN, float.PositiveInfinity }, null)]
    public void What_stands_in_for_missing_features_is_the_lower_median_of_those_that_are_there(float[] values, float? expected)
    {
        IDataView data = TabularData.View(_mlContext, [.. values.Select((value, i) => new TableRow { Features = [i, value] })]);
        var filling = new FeatureFilling();
        filling.Values.Should().BeEmpty();
        int asked = 0;
        if (expected is null)
        {
            FluentActions.Invoking(() => filling.Learn(data, Columns(), () => { })).Should().Throw<InvalidOperationException>().WithMessage(
                $"The feature column 'Features' has no value in slot 1 in any of {values.Length} rows, so that nothing can stand in for "
                + "one that is missing. Leave this slot out.");
            return;
        }
        filling.Learn(data, Columns(), () => asked++);
        filling.Values.Should().Equal((values.Length - 1) / 2, expected.Value);
        asked.Should().Be(values.Length);
        float[] row = [float.NaN, 5], whole = [8, float.PositiveInfinity], nothing = [float.NaN, float.NaN];
        foreach (float[] each in new[] { row, whole, nothing })
            FeatureFilling.Fill(each, [1, 2]);
        row.Should().Equal(1, 5);
        whole.Should().Equal(8, float.PositiveInfinity);
        nothing.Should().Equal([float.NaN, float.NaN], "a row that says nothing stays as it is");
    }

    /// <summary>A value of each type that classes may have, and its text in a model file.</summary>
    public static TheoryData<object, string> Values => new()
    {
        { true, "true" }, { false, "false" }, { (sbyte)-7, "-7" }, { (byte)7, "7" }, { (short)-300, "-300" }, { (ushort)300, "300" },
        { -70_000, "-70000" }, { 70_000u, "70000" }, { -(1L << 53) - 1, "-9007199254740993" }, { ulong.MaxValue, "18446744073709551615" },
        { 0.1f, "0.1" }, { 0.1, "0.1" }, { "a, b".AsMemory(), "a, b" },
        { new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc).AddTicks(6), "2026-01-02T03:04:05.0000006Z" },
        { new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Local), "2026-01-02T03:04:05.0000000 local" },
        { new DateTime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.0000000" },
        { new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(-2)), "2026-01-02T03:04:05.0000000-02:00" },
        { TimeSpan.FromHours(30), "1.06:00:00" }, { new DataViewRowId(0x1F, 0xABC), "0000000000000abc000000000000001f" },
    };

    [Theory]
    [MemberData(nameof(Values), DisableDiscoveryEnumeration = true)]
    public void Classes_of_every_type_become_texts_and_the_same_values_again(object value, string text)
    {
        ClassValueType type = ClassValueType.Named(value is ReadOnlyMemory<char> ? "ReadOnlyMemory`1" : value.GetType().Name)!;
        ClassValueType.Of(type.DataType).Should().BeSameAs(type);
        type.Name.Should().Be(type.DataType.RawType.Name);
        ClassValueType.Names.Split(", ").Should().HaveCount(16).And.Contain(type.DataType.ToString());
        var annotations = new DataViewSchema.Annotations.Builder();
        type.AddTo(annotations, "KeyValues", [text, text]);
        var builder = new DataViewSchema.Builder();
        builder.AddColumn("Key", new KeyDataViewType(typeof(uint), 2), annotations.ToAnnotations());
        DataViewSchema.Column column = builder.ToSchema()["Key"];
        type.Read(column).Should().Equal(text, text);
        GetType().GetMethod(nameof(Kept), System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!
            .MakeGenericMethod(type.DataType.RawType).Invoke(null, [column])!.ToString().Should().Be(value.ToString());
        if (value is DateTime time)
            ((DateTime)GetType().GetMethod(nameof(Kept), System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!
                .MakeGenericMethod(typeof(DateTime)).Invoke(null, [column])!).Kind.Should().Be(time.Kind);

        type.CanParse(text).Should().BeTrue();
        foreach (string bad in new[] { "", "x", "1e999x", text + "0000000000000000000000!" })
            type.CanParse(bad).Should().Be(type.DataType is TextDataViewType, $"'{bad}' is no {type.Name}");
        LabelKeys keys = LabelKeys.Of(column);
        (keys.Count, keys.ValueType, keys.AreText).Should().Be((2, type, type.DataType is TextDataViewType));
        keys.Describe().Should().Be($"2 classes of type {type.DataType} ({text}, {text}, …)");
    }

    [Fact]
    public void Types_that_cannot_be_classes_and_keys_without_values_are_known()
    {
        ClassValueType.Of(new VectorDataViewType(NumberDataViewType.Single, 2)).Should().BeNull();
        ClassValueType.Of(new KeyDataViewType(typeof(uint), 2)).Should().BeNull();
        ClassValueType.Named("Vector").Should().BeNull();
        ClassValueType.Named(null).Should().BeNull();
        var builder = new DataViewSchema.Builder();
        builder.AddColumn("Key", new KeyDataViewType(typeof(ulong), ulong.MaxValue));
        LabelKeys keys = LabelKeys.Of(builder.ToSchema()["Key"]);
        (keys.Count, keys.ValueType, keys.Values, keys.AreText).Should().Be((int.MaxValue, null, null, false));
        keys.Describe().Should().Be("2147483647 classes without names");
        var annotations = new DataViewSchema.Annotations.Builder();
        keys.AddTo(annotations, "KeyValues");
        annotations.ToAnnotations().Schema.Should().BeEmpty();
    }

    private static T Kept<T>(DataViewSchema.Column column)
    {
        VBuffer<T> values = default;
        column.Annotations.GetValue("KeyValues", ref values);
        values.Length.Should().Be(2);
        return values.GetItemOrDefault(1);
    }

    private RowColumns Columns(bool isLabelled = true) =>
        new((Runtime.IExceptionContext)_mlContext, "Features", isLabelled ? new NumberLabel("Target") : null);

    private static float[] Numbers(Tensor tensor) => tensor.contiguous().data<float>().ToArray();
}
