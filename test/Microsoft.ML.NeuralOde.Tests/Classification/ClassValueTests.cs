using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Classification;

/// <summary>Classes of every type that MapValueToKey takes come back exactly, from the fitted model and from its file.</summary>
public sealed class ClassValueTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Booleans() => Check(false, true);

    [Fact]
    public void SignedBytes() => Check(sbyte.MinValue, (sbyte)-1, sbyte.MaxValue);

    [Fact]
    public void Bytes() => Check(byte.MinValue, (byte)7, byte.MaxValue);

    [Fact]
    public void Shorts() => Check(short.MinValue, (short)0, short.MaxValue);

    [Fact]
    public void UnsignedShorts() => Check(ushort.MinValue, (ushort)9, ushort.MaxValue);

    [Fact]
    public void Integers() => Check(int.MinValue, 0, int.MaxValue);

    [Fact]
    public void UnsignedIntegers() => Check(uint.MinValue, 5u, uint.MaxValue);

    [Fact]
    public void Longs() => Check(long.MinValue, (1L << 53) + 1, long.MaxValue);

    [Fact]
    public void UnsignedLongs() => Check(ulong.MinValue, (1UL << 63) + 1, ulong.MaxValue);

    [Fact]
    public void Floats() => Check(float.NegativeInfinity, -0.1f, float.Epsilon, float.MaxValue, float.PositiveInfinity);

    [Fact]
    public void Doubles() => Check(double.NegativeInfinity, 0.1, Math.PI, double.Epsilon, double.MaxValue, double.PositiveInfinity);

    [Fact]
    public void Texts() => Check("red", "größer \u2603", "a\"b\\c\n", "2", " ");

    [Fact]
    public void Times() => Check(
        DateTime.MinValue, new DateTime(2026, 3, 29, 2, 30, 0, 1, DateTimeKind.Local).AddTicks(7),
        new DateTime(637_000_000_000_000_001, DateTimeKind.Utc), DateTime.MaxValue);

    [Fact]
    public void Moments() => Check(
        DateTimeOffset.MinValue, new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromMinutes(-570)).AddTicks(3), DateTimeOffset.MaxValue);

    [Fact]
    public void Durations() =>
        Check(TimeSpan.MinValue.Add(TimeSpan.FromTicks(1)), TimeSpan.FromTicks(-1), TimeSpan.FromDays(1.5), TimeSpan.MaxValue);

    [Fact]
    public void RowIds() => Check(new DataViewRowId(0, 1), new DataViewRowId(ulong.MaxValue, 7), new DataViewRowId(3, ulong.MaxValue));

    [Fact]
    public void Cultures_do_not_matter()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        culture.NumberFormat = new NumberFormatInfo
        {
            NumberDecimalSeparator = ",",
            NumberGroupSeparator = ".",
            NegativeSign = "~",
            PositiveInfinitySymbol = "more"
        };
        culture.DateTimeFormat = new DateTimeFormatInfo { TimeSeparator = ".", DateSeparator = "-" };
        CultureInfo.CurrentCulture = culture;
        try
        {
            Doubles();
            Times();
            Moments();
            Durations();
            Longs();
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Keys_that_name_values_of_no_such_type_are_refused_before_the_training()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(
            Enumerable.Range(0, 60).Select(i => new KeyRow { Features = [i % 3, i], Label = (uint)(i % 3) }).ToArray());
        var builder = new DataViewSchema.Annotations.Builder();
        var type = new VectorDataViewType(new KeyDataViewType(typeof(uint), 9), 3);
        builder.Add("KeyValues", type, (ref VBuffer<uint> values) => values = new VBuffer<uint>(3, [4, 5, 6]));
        IDataView annotated = new Altered(data, "Label", data.Schema["Label"].Type, builder.ToAnnotations());
        NeuralOdeClassificationTrainer trainer = _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options());

        Action fit = () => trainer.Fit(annotated);
        fit.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*label*'Label'*values*Int64*");
    }

    [Fact]
    public void A_key_beyond_its_type_is_named_by_its_row()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 60)
            .Select(i => new KeyRow { Features = [i % 3, i], Label = (uint)(i % 3) }).ToArray());
        IDataView altered = new Altered(data, "Label", new KeyDataViewType(typeof(uint), 2), DataViewSchema.Annotations.Empty);
        Action fit = () => _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options()).Fit(altered);
        fit.Should().Throw<InvalidOperationException>().WithMessage("*'Label' has the key 3 in row 2*keys up to 2*");
    }

    [Fact]
    public void A_binary_classifier_refuses_every_other_label_before_the_training()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(EveryType.Rows(30, 1));
        foreach (DataViewSchema.Column column in data.Schema.Where(column => column.Name != "Bool"))
        {
            NeuralOdeBinaryClassificationTrainer trainer = _mlContext.BinaryClassification.Trainers.NeuralOde(
                new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = column.Name });
            Action schema = () => trainer.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema));
            schema.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*label*'{column.Name}'*Boolean*");
            Action fit = () => trainer.Fit(data);
            fit.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*label*'{column.Name}'*Boolean*");
        }
    }

    /// <summary>Trains on points around as many centres as there are values, and compares what comes back with what went in.</summary>
    private void Check<T>(params T[] values)
    {
        var random = new Random(1);
        List<Labelled<T>> rows = [.. Enumerable.Range(0, 40 * values.Length).Select(i => new Labelled<T>
        {
            Features = [4 * (i % values.Length) + random.NextSingle(), random.NextSingle()],
            Label = values[i % values.Length],
        })];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        var pipeline = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => { o.NumberOfEpochs = 2; o.Seed = 1; })))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
        using TransformerChain<Microsoft.ML.Transforms.KeyToValueMappingTransformer> model = pipeline.Fit(data);
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        ITransformer loaded = _mlContext.Model.Load(new MemoryStream(stream.ToArray()), out _);

        foreach (ITransformer each in new[] { model, loaded })
        {
            var neural = ((IEnumerable<ITransformer>)each).OfType<NeuralOdeClassificationTransformer>().Single();
            DataViewSchema scored = neural.Transform(model.First().Transform(data)).Schema;
            Values<T>(scored["PredictedLabel"], "KeyValues").Should().Equal(values.Select(Exact));
            Values<T>(scored["Score"], "TrainingLabelValues").Should().Equal(values.Select(Exact));
            IDataView answers = each.Transform(data);
            float[][] scores = [.. answers.GetColumn<float[]>("Score")];
            Predicted<T>(answers).Should().Equal(scores.Select(score => Exact(values[Array.IndexOf(score, score.Max())])));
        }
        (loaded as IDisposable)?.Dispose();
    }

    private static IEnumerable<string> Values<T>(DataViewSchema.Column column, string name)
    {
        if (typeof(T) == typeof(string))
        {
            VBuffer<ReadOnlyMemory<char>> text = default;
            column.Annotations.GetValue(name, ref text);
            return [.. text.DenseValues().Select(value => value.ToString())];
        }
        VBuffer<T> values = default;
        column.Annotations.GetValue(name, ref values);
        return [.. values.DenseValues().Select(Exact)];
    }

    private static IEnumerable<string> Predicted<T>(IDataView answers) => [.. answers.GetColumn<T>("PredictedLabel").Select(Exact)];

    private static string Exact<T>(T value) => value switch
    {
        DataViewRowId id => $"{id.High:x} {id.Low:x}",
        DateTime time => $"{time.Ticks} {time.Kind}",
        DateTimeOffset time => $"{time.Ticks} {time.Offset.Ticks}",
        TimeSpan time => $"{time.Ticks}",
        double number => $"{BitConverter.DoubleToInt64Bits(number):x}",
        float number => $"{BitConverter.SingleToInt32Bits(number):x}",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private sealed class Labelled<T>
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public T Label { get; set; } = default!;
    }

    private sealed class KeyRow
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        [KeyType(3)]
        public uint Label { get; set; }
    }

    /// <summary>A view one of whose columns says something else of itself.</summary>
    private sealed class Altered : IDataView
    {
        private readonly IDataView _source;

        public Altered(IDataView source, string column, DataViewType type, DataViewSchema.Annotations annotations)
        {
            _source = source;
            var builder = new DataViewSchema.Builder();
            foreach (DataViewSchema.Column each in source.Schema)
                builder.AddColumn(each.Name, each.Name == column ? type : each.Type, each.Name == column ? annotations : each.Annotations);
            Schema = builder.ToSchema();
        }

        public bool CanShuffle => _source.CanShuffle;

        public DataViewSchema Schema { get; }

        public long? GetRowCount() => _source.GetRowCount();

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
            _source.GetRowCursor(columnsNeeded.Select(column => _source.Schema[column.Index]), rand);

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
            [GetRowCursor(columnsNeeded, rand)];
    }
}
