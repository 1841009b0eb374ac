using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>Column shapes, checks and annotations in ML.NET's own form.</summary>
internal static class Schemas
{
    /// <summary>A mismatch as ML.NET reports it: role, column, expected and actual type.</summary>
    public static Exception Mismatch(IExceptionContext context, string parameter, string role, string column, string? expected = null, string? actual = null) =>
        expected is null
            ? Contracts.ExceptSchemaMismatch(context, parameter, role, column)
            : Contracts.ExceptSchemaMismatch(context, parameter, role, column, expected, actual);

    public static TrainerInfo TrainerInfo() =>
        new(normalization: false, calibration: false, caching: false, supportValid: true, supportIncrementalTrain: false);

    /// <summary>Checks a feature column: a vector of Single whose size is known, of any dimensions.</summary>
    public static void CheckFeatures(IExceptionContext context, SchemaShape schema, string name)
    {
        if (!schema.TryFindColumn(name, out SchemaShape.Column column))
            throw Mismatch(context, "inputSchema", "feature", name);
        if (column.Kind != SchemaShape.Column.VectorKind.Vector || column.ItemType != NumberDataViewType.Single || column.IsKey)
            throw Mismatch(context, "inputSchema", "feature", name, "a vector of Single of known size", column.GetTypeString());
    }

    /// <summary>Checks a label column: a key.</summary>
    public static SchemaShape.Column CheckKeyLabel(IExceptionContext context, SchemaShape schema, string name)
    {
        if (!schema.TryFindColumn(name, out SchemaShape.Column column))
            throw Mismatch(context, "inputSchema", "label", name);
        if (column.Kind != SchemaShape.Column.VectorKind.Scalar || !column.IsKey)
            throw Mismatch(context, "inputSchema", "label", name, "a key (see mlContext.Transforms.Conversion.MapValueToKey)", column.GetTypeString());
        return column;
    }

    /// <summary>The columns that a multiclass classifier adds.</summary>
    public static SchemaShape WithMulticlassOutputs(SchemaShape input, SchemaShape.Column label, string predictedLabel, string score)
    {
        var keyValues = new SchemaShape(AnnotationUtils.GetTrainerOutputAnnotation());
        bool hasNames = label.Annotations.TryFindColumn(AnnotationUtils.Kinds.KeyValues, out SchemaShape.Column names) && names.Kind == SchemaShape.Column.VectorKind.Vector;
        var predictedAnnotations = hasNames ? new SchemaShape(keyValues.Append(names)) : keyValues;
        var scoreAnnotations = new SchemaShape(AnnotationUtils.AnnotationsForMulticlassScoreColumn(hasNames ? label : null));
        Dictionary<string, SchemaShape.Column> columns = input.ToDictionary(column => column.Name);
        columns[score] = new SchemaShape.Column(score, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false, scoreAnnotations);
        columns[predictedLabel] = new SchemaShape.Column(predictedLabel, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, true, predictedAnnotations);
        return new SchemaShape(columns.Values);
    }

    public static SchemaShape ShapeOf(DataViewSchema schema) => SchemaShape.Create(schema);

    /// <summary>The annotations of a multiclass score column.</summary>
    public static DataViewSchema.Annotations MulticlassScoreAnnotations(DataViewSchema input, Data.LabelKeys keys)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreColumnKind, TextDataViewType.Instance, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification.AsMemory());
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreValueKind, TextDataViewType.Instance, AnnotationUtils.Const.ScoreValueKind.Score.AsMemory());
        AddSetId(builder, input);
        keys.AddTo(builder, AnnotationUtils.Kinds.TrainingLabelValues);
        if (keys.AreText)
            keys.AddTo(builder, AnnotationUtils.Kinds.SlotNames);
        return builder.ToAnnotations();
    }

    /// <summary>The annotations of a predicted label.</summary>
    public static DataViewSchema.Annotations PredictedLabelAnnotations(DataViewSchema input, Data.LabelKeys keys)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreColumnKind, TextDataViewType.Instance, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification.AsMemory());
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreValueKind, TextDataViewType.Instance, AnnotationUtils.Const.ScoreValueKind.PredictedLabel.AsMemory());
        AddSetId(builder, input);
        keys.AddTo(builder, AnnotationUtils.Kinds.KeyValues);
        return builder.ToAnnotations();
    }

    /// <summary>Columns of one scorer have one number in common, larger than any before.</summary>
    private static void AddSetId(DataViewSchema.Annotations.Builder builder, DataViewSchema input)
    {
        uint last = AnnotationUtils.GetMaxAnnotationKind(input, out int _, AnnotationUtils.Kinds.ScoreColumnSetId);
        builder.AddPrimitiveValue(AnnotationUtils.Kinds.ScoreColumnSetId, AnnotationUtils.ScoreColumnSetIdType, last + 1);
    }
}
