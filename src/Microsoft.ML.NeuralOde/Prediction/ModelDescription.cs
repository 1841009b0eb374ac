using System.Text.Json.Serialization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>What stands beside the weights in a model file.</summary>
/// <param name="Network">The network's structure.</param>
/// <param name="FeatureColumn">The feature column.</param>
/// <param name="FeatureDimensions">The dimensions of its vectors.</param>
/// <param name="Columns">The columns of the predictions.</param>
/// <param name="Classes">The values of the classes, where there are classes and their values are known.</param>
/// <param name="History">What happened in each epoch of the training.</param>
/// <param name="Options">The trainer's options as text, for people; null in files that do not have them.</param>
internal sealed record ModelDescription(
    NetworkDescription Network, string FeatureColumn, int[] FeatureDimensions, OutputColumns Columns, ClassValues? Classes, IReadOnlyList<NeuralOdeEpochReport> History,
    IReadOnlyDictionary<string, string>? Options = null)
{
    public static ModelDescription Of(FittedNetwork fitted, NeuralOdePredictorOptions options, OutputColumns columns, LabelKeys? keys = null) => new(
        fitted.Network.Description, options.FeatureColumnName, [.. ((VectorDataViewType)fitted.FeatureType).Dimensions], columns,
        keys is null ? null : new ClassValues(keys.Text, keys.Numbers, keys.NumberType), fitted.History,
        TrainingOptionsText.Of(options));

    /// <summary>What people are to read about a model in its file.</summary>
    public string ToMetadata(NeuralOdeModel model, byte[] payload) => ModelMetadata.Write(
        model.Kind switch { OutputKind.Classes => "multiclass classification", OutputKind.Odds => "binary classification", _ => "regression" },
        new { Column = FeatureColumn, Type = $"Vector<Single, {string.Join(", ", FeatureDimensions)}>" }, Columns, model.Summary,
        new Dictionary<string, object?> { ["classes"] = Classes, ["options"] = Options }, History, payload);

    /// <summary>What makes no sense in a description that was read, or does not suit a kind of model, as a clause; null for nothing.</summary>
    public string? FindDefect(OutputKind kind)
    {
        if (Network.FindDefect() is { } defect)
            return defect;
        if (string.IsNullOrWhiteSpace(FeatureColumn) || string.IsNullOrWhiteSpace(Columns.Score)
            || (kind != OutputKind.Values && string.IsNullOrWhiteSpace(Columns.PredictedLabel)) || (kind == OutputKind.Odds && string.IsNullOrWhiteSpace(Columns.Probability)))
            return "the name of a column is missing";
        if (kind == OutputKind.Odds ? Network.OutputCount != 1 : kind == OutputKind.Values && !Columns.IsVector && Network.OutputCount != 1)
            return $"it has {Network.OutputCount} outputs";
        if (FeatureDimensions.Length == 0 || FeatureDimensions.Any(size => size <= 0)
            || FeatureDimensions.Aggregate(1.0, (product, size) => product * size) != Network.FeatureCount)
            return $"its {Network.FeatureCount} features have dimensions [{string.Join(", ", FeatureDimensions)}]";
        if (!float.IsFinite(Columns.Threshold))
            return $"its threshold is {Columns.Threshold}";
        if (History.Contains(null!))
            return "a report of its training is missing";
        return kind == OutputKind.Classes && Classes is null ? "its classes are missing" : Classes?.FindDefect(Network.OutputCount);
    }
}

/// <summary>The columns of the predictions.</summary>
/// <param name="Score">The column of the scores.</param>
/// <param name="PredictedLabel">The column of the predicted label; null for tasks without one.</param>
/// <param name="Probability">The column of the probability; null for tasks without one.</param>
/// <param name="IsVector">Whether a regression has a vector of scores.</param>
/// <param name="Threshold">The score above which a row of a binary classification is positive; 0 in files that do not have it.</param>
internal sealed record OutputColumns(
    string Score, string? PredictedLabel = null, string? Probability = null, bool IsVector = false,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] float Threshold = 0);

/// <summary>The values of classes: texts, or numbers and the name of their type.</summary>
internal sealed record ClassValues(IReadOnlyList<string>? Text, IReadOnlyList<double>? Numbers, string? NumberType)
{
    /// <summary>What makes no sense in values that were read, as a clause; null for nothing.</summary>
    public string? FindDefect(int count)
    {
        if (Text is not null && (Text.Count != count || Text.Contains(null!)))
            return $"it has {Text.Count} names for {count} classes";
        if ((Numbers is null) != (NumberType is null) || (Numbers is not null && (Text is not null || Numbers.Count != count)))
            return "the values of its classes do not suit each other";
        return NumberType is null || LabelKeys.CanHold(NumberType, Numbers!) ? null : $"its classes are no values of type {NumberType}";
    }

    public LabelKeys ToKeys(int count) => new(count, Text is null ? null : [.. Text], Numbers is null ? null : [.. Numbers], NumberType);
}
