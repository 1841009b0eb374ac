using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>Column shapes, checks and annotations in ML.NET's own form.</summary>
internal static class Schemas
{
    /// <summary>A mismatch as ML.NET reports it: role, column, expected and actual type.</summary>
    public static Exception Mismatch(
        IExceptionContext context, string parameter, string role, string column, string? expected = null, string? actual = null) =>
        expected is null
            ? Contracts.ExceptSchemaMismatch(context, parameter, role, column)
            : Contracts.ExceptSchemaMismatch(context, parameter, role, column, expected, actual);

    public static TrainerInfo TrainerInfo() =>
        new(normalization: false, calibration: false, caching: false, supportValid: true, supportIncrementalTrain: true);

    /// <summary>Checks a feature column: a vector of Single whose size is known, of any dimensions.</summary>
    public static void CheckFeatures(IExceptionContext context, SchemaShape schema, string name)
    {
        if (!schema.TryFindColumn(name, out SchemaShape.Column column))
            throw Mismatch(context, "inputSchema", "feature", name);
        if (column.Kind != SchemaShape.Column.VectorKind.Vector || column.ItemType != NumberDataViewType.Single || column.IsKey)
            throw Mismatch(
                context, "inputSchema", "feature", name, "a vector of Single of known size",
                column.GetTypeString() + VectorRemedy(column.Kind, column.ItemType, column.IsKey));
    }

    /// <summary>
    /// What makes a column a vector of Single of known size, in brackets behind what was found; empty where nothing simple does.
    /// </summary>
    public static string VectorRemedy(DataViewType type) => type is VectorDataViewType vector
        ? VectorRemedy(vector.IsKnownSize ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.VariableVector,
            vector.ItemType, vector.ItemType is KeyDataViewType)
        : VectorRemedy(SchemaShape.Column.VectorKind.Scalar, type, type is KeyDataViewType);

    /// <inheritdoc cref="VectorRemedy(DataViewType)"/>
    public static string VectorRemedy(SchemaShape.Column.VectorKind kind, DataViewType item, bool isKey)
    {
        if (isKey || item is not NumberDataViewType)
            return "";
        if (item != NumberDataViewType.Single)
            return " (mlContext.Transforms.Conversion.ConvertType makes numbers Single)";
        return kind == SchemaShape.Column.VectorKind.VariableVector
            ? " (put [VectorType(n)], n being the length of every array, on the property, or set its ColumnType in a SchemaDefinition)"
            : " (mlContext.Transforms.Concatenate makes vectors of numbers)";
    }

    /// <summary>Checks a weight column: Single.</summary>
    public static void CheckWeight(IExceptionContext context, SchemaShape schema, string name)
    {
        if (!schema.TryFindColumn(name, out SchemaShape.Column column))
            throw Mismatch(context, "inputSchema", "weight", name);
        if (column.Kind != SchemaShape.Column.VectorKind.Scalar || column.ItemType != NumberDataViewType.Single || column.IsKey)
            throw Mismatch(context, "inputSchema", "weight", name, "Single", column.GetTypeString());
    }

    /// <summary>The column of weights of a trainer; null for none.</summary>
    public static SchemaShape.Column? WeightColumn(string? name) => name is null ? null : TrainerUtils.MakeR4ScalarColumn(name);

    /// <summary>The columns that a multiclass classifier adds.</summary>
    public static SchemaShape WithMulticlassOutputs(SchemaShape input, SchemaShape.Column label, string predictedLabel, string score)
    {
        var keyValues = new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation());
        bool hasNames = label.Annotations.TryFindColumn(AnnotationUtils.Kinds.KeyValues, out SchemaShape.Column names)
            && names.Kind == SchemaShape.Column.VectorKind.Vector;
        var predictedAnnotations = hasNames ? new SchemaShape(keyValues.Append(names)) : keyValues;
        var scoreAnnotations = new SchemaShape(AnnotationUtils.AnnotationsForMulticlassScoreColumn(hasNames ? label : null));
        return With(
            input,
            new SchemaShape.Column(score, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false, scoreAnnotations),
            new SchemaShape.Column(
                predictedLabel, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, true, predictedAnnotations));
    }

    /// <summary>The columns that a binary classifier adds.</summary>
    public static SchemaShape WithBinaryOutputs(SchemaShape input, string predictedLabel, string score, string probability)
    {
        var annotations = new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation());
        var probabilityAnnotations = new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation(isNormalized: true));
        return With(
            input,
            new SchemaShape.Column(score, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, false, annotations),
            new SchemaShape.Column(
                probability, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, false, probabilityAnnotations),
            new SchemaShape.Column(predictedLabel, SchemaShape.Column.VectorKind.Scalar, BooleanDataViewType.Instance, false, annotations));
    }

    /// <summary>The column that a regression adds.</summary>
    public static SchemaShape WithRegressionOutput(SchemaShape input, SchemaShape.Column label, string score) =>
        With(input, new SchemaShape.Column(score, label.Kind, NumberDataViewType.Single, false,
            new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation())));

    /// <summary>The columns that an anomaly detector adds.</summary>
    public static SchemaShape WithAnomalyOutputs(SchemaShape input, string predictedLabel, string score)
    {
        var annotations = new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation());
        return With(
            input,
            new SchemaShape.Column(score, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, false, annotations),
            new SchemaShape.Column(predictedLabel, SchemaShape.Column.VectorKind.Scalar, BooleanDataViewType.Instance, false, annotations));
    }

    /// <summary>Adds columns of numbers, each one number or a vector of them; those without a name are left out.</summary>
    public static SchemaShape WithNumbers(SchemaShape input, params ReadOnlySpan<(string? Name, bool IsVector)> outputs)
    {
        var columns = new List<SchemaShape.Column>();
        foreach ((string? name, bool isVector) in outputs)
            if (name is not null)
                columns.Add(new SchemaShape.Column(
                    name, isVector ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.Scalar,
                    NumberDataViewType.Single, false));
        return With(input, [.. columns]);
    }

    public static SchemaShape ShapeOf(DataViewSchema schema) => SchemaShape.Create(schema);

    /// <summary>The annotations of a multiclass score column.</summary>
    public static DataViewSchema.Annotations MulticlassScoreAnnotations(DataViewSchema input, IKeyValues keys)
    {
        DataViewSchema.Annotations.Builder builder = ScoreAnnotations(
            input, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification, AnnotationUtils.Const.ScoreValueKind.Score);
        keys.AddTo(builder, AnnotationUtils.Kinds.TrainingLabelValues);
        if (keys.AreText)
            keys.AddTo(builder, AnnotationUtils.Kinds.SlotNames);
        return builder.ToAnnotations();
    }

    /// <summary>The annotations of a predicted label that is a key.</summary>
    public static DataViewSchema.Annotations PredictedKeyAnnotations(DataViewSchema input, IKeyValues keys)
    {
        DataViewSchema.Annotations.Builder builder = ScoreAnnotations(
            input, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification, AnnotationUtils.Const.ScoreValueKind.PredictedLabel);
        keys.AddTo(builder, AnnotationUtils.Kinds.KeyValues);
        return builder.ToAnnotations();
    }

    /// <summary>The annotations of a column of a binary classifier.</summary>
    public static DataViewSchema.Annotations BinaryAnnotations(DataViewSchema input, BinaryColumn column)
    {
        DataViewSchema.Annotations.Builder builder =
            ScoreAnnotations(input, AnnotationUtils.Const.ScoreColumnKind.BinaryClassification, column switch
            {
                BinaryColumn.Score => AnnotationUtils.Const.ScoreValueKind.Score,
                BinaryColumn.Probability => AnnotationUtils.Const.ScoreValueKind.Probability,
                _ => AnnotationUtils.Const.ScoreValueKind.PredictedLabel,
            });
        if (column == BinaryColumn.Probability)
            builder.AddPrimitiveValue(AnnotationUtils.Kinds.IsNormalized, BooleanDataViewType.Instance, true);
        return builder.ToAnnotations();
    }

    /// <summary>The annotations of the score column of a regression.</summary>
    public static DataViewSchema.Annotations RegressionAnnotations(DataViewSchema input, bool isVector) => ScoreAnnotations(
        input, isVector ? AnnotationUtils.Const.ScoreColumnKind.MultiOutputRegression : AnnotationUtils.Const.ScoreColumnKind.Regression,
        AnnotationUtils.Const.ScoreValueKind.Score).ToAnnotations();

    /// <summary>The annotations of a column of an anomaly detector.</summary>
    public static DataViewSchema.Annotations AnomalyAnnotations(DataViewSchema input, bool isScore) => ScoreAnnotations(
        input, AnnotationUtils.Const.ScoreColumnKind.AnomalyDetection,
        isScore ? AnnotationUtils.Const.ScoreValueKind.Score : AnnotationUtils.Const.ScoreValueKind.PredictedLabel).ToAnnotations();

    /// <summary>The names of a column's slots, where it has them, as annotations of another column.</summary>
    public static DataViewSchema.Annotations SlotNamesOf(DataViewSchema.Column column)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.Add(column.Annotations, kind => kind == AnnotationUtils.Kinds.SlotNames);
        return builder.ToAnnotations();
    }

    /// <summary>Names of slots as annotations.</summary>
    public static DataViewSchema.Annotations SlotNamesOf(string[] names)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddSlotNames(names.Length, (ref VBuffer<ReadOnlyMemory<char>> value) =>
            value = new VBuffer<ReadOnlyMemory<char>>(names.Length, [.. names.Select(name => name.AsMemory())]));
        return builder.ToAnnotations();
    }

    /// <summary>The names of a vector's slots; null where it has none.</summary>
    public static string[]? SlotNames(DataViewSchema.Column column)
    {
        if (!column.HasSlotNames())
            return null;
        VBuffer<ReadOnlyMemory<char>> names = default;
        column.GetSlotNames(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    /// <summary>The slots, from first to last, of each category that was encoded one-hot, as ML.NET's encoding has noted them.</summary>
    public static IEnumerable<(int First, int Last)> CategoryRanges(DataViewSchema schema, DataViewSchema.Column column) =>
        AnnotationUtils.TryGetCategoricalFeatureIndices(schema, column.Index, out int[] ends)
            ? ends.Chunk(2).Select(range => (range[0], range[1]))
            : [];

    private static SchemaShape With(SchemaShape input, params ReadOnlySpan<SchemaShape.Column> outputs)
    {
        Dictionary<string, SchemaShape.Column> columns = input.ToDictionary(column => column.Name);
        foreach (SchemaShape.Column output in outputs)
            columns[output.Name] = output;
        return new SchemaShape(columns.Values);
    }

    /// <summary>What all columns of a scorer have: columns of one scorer have one number in common, larger than any before.</summary>
    private static DataViewSchema.Annotations.Builder ScoreAnnotations(DataViewSchema input, string columnKind, string valueKind)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreColumnKind, TextDataViewType.Instance, columnKind.AsMemory());
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreValueKind, TextDataViewType.Instance, valueKind.AsMemory());
        uint last = AnnotationUtils.GetMaxAnnotationKind(input, out int _, AnnotationUtils.Kinds.ScoreColumnSetId);
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreColumnSetId, AnnotationUtils.ScoreColumnSetIdType, last + 1);
        return builder;
    }
}

/// <summary>The values that keys stand for, as annotations hold them.</summary>
internal interface IKeyValues
{
    /// <summary>Whether they are texts.</summary>
    bool AreText { get; }

    /// <summary>Adds the values, where they are known, under a name.</summary>
    void AddTo(DataViewSchema.Annotations.Builder builder, string name);
}

/// <summary>What a column of a binary classifier holds.</summary>
internal enum BinaryColumn
{
    /// <summary>The logarithm of the odds.</summary>
    Score,

    /// <summary>The probability of true.</summary>
    Probability,

    /// <summary>True or false.</summary>
    PredictedLabel,
}
