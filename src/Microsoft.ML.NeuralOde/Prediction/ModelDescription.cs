using System.Globalization;
using System.Text.Json.Serialization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
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
    NetworkDescription Network, string FeatureColumn, int[] FeatureDimensions, OutputColumns Columns, ClassValues? Classes,
    IReadOnlyList<NeuralOdeEpochReport> History, IReadOnlyDictionary<string, string>? Options = null)
{
    /// <summary>What people are to read about a model in its file.</summary>
    public (string Entry, string Text) ToMetadata(NeuralOdeModel model, byte[] payload) => ModelMetadata.Write(
        model.Kind switch
        {
            OutputKind.Classes => "multiclass classification",
            OutputKind.Odds => "binary classification",
            _ => "regression"
        },
        new { Column = FeatureColumn, Type = $"Vector<Single, {string.Join(", ", FeatureDimensions)}>" }, Columns, model.Summary,
        new Dictionary<string, object?> { ["classes"] = Classes, ["options"] = Options }, History, payload);

    /// <summary>
    /// What makes no sense in a description that was read, or does not suit a kind of model, as a clause; null for nothing.
    /// </summary>
    public string? FindDefect(OutputKind kind)
    {
        if (Network.FindDefect() is { } defect)
            return defect;
        if (string.IsNullOrWhiteSpace(FeatureColumn))
            return OutputColumns.MissingName;
        if (FeatureDimensions.Length == 0 || FeatureDimensions.Any(size => size <= 0)
            || FeatureDimensions.Aggregate(1.0, (product, size) => product * size) != Network.FeatureCount)
            return $"its {Network.FeatureCount} features have dimensions [{string.Join(", ", FeatureDimensions)}]";
        return Columns.FindDefect(kind, Network.OutputCount, Classes, History);
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
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] float Threshold = 0)
{
    public const string MissingName = "the name of a column is missing";

    /// <summary>What makes no sense in columns that were read, and in what stands beside them, as a clause; null for nothing.</summary>
    /// <param name="kind">What the network's outputs mean.</param>
    /// <param name="outputs">The number of the network's outputs.</param>
    /// <param name="classes">The values of the classes.</param>
    /// <param name="history">What happened in each epoch of the training.</param>
    public string? FindDefect(OutputKind kind, int outputs, ClassValues? classes, IReadOnlyList<NeuralOdeEpochReport> history)
    {
        if (string.IsNullOrWhiteSpace(Score) || (kind != OutputKind.Values && string.IsNullOrWhiteSpace(PredictedLabel))
            || (kind == OutputKind.Odds && string.IsNullOrWhiteSpace(Probability)))
            return MissingName;
        if (outputs != 1 && (kind == OutputKind.Odds || (kind == OutputKind.Values && !IsVector)))
            return $"it has {outputs} outputs";
        if (!float.IsFinite(Threshold))
            return $"its threshold is {Threshold}";
        if (history.Contains(null!))
            return "a report of its training is missing";
        return kind == OutputKind.Classes && classes is null ? "its classes are missing" : classes?.FindDefect(outputs);
    }
}

/// <summary>
/// The values of classes: texts; or numbers that floating-point numbers hold, and the name of their type; or values of any other type as
/// texts, and its name, which programs that only know the first two leave aside.
/// </summary>
internal sealed record ClassValues(
    IReadOnlyList<string>? Text, IReadOnlyList<double>? Numbers, string? NumberType, IReadOnlyList<string>? Values = null,
    string? ValueType = null)
{
    private static readonly HashSet<string> NumberTypes =
        [nameof(Single), nameof(Double), nameof(SByte), nameof(Byte), nameof(Int16), nameof(UInt16), nameof(Int32), nameof(UInt32)];

    public static ClassValues Of(LabelKeys keys)
    {
        if (keys.Values is null)
            return new ClassValues(null, null, null);
        if (keys.AreText)
            return new ClassValues(keys.Values, null, null);
        string type = keys.ValueType!.Name;
        double[] numbers = NumberTypes.Contains(type) ? [.. keys.Values.Select(Number)] : [double.NaN];
        return Array.TrueForAll(numbers, double.IsFinite)
            ? new ClassValues(null, numbers, type)
            : new ClassValues(null, null, null, keys.Values, type);

        double Number(string text) =>
            type == nameof(Single) ? float.Parse(text, CultureInfo.InvariantCulture) : double.Parse(text, CultureInfo.InvariantCulture);
    }

    /// <summary>What makes no sense in values that were read, as a clause; null for nothing.</summary>
    public string? FindDefect(int count)
    {
        if (Text is not null && (Text.Count != count || Text.Contains(null!)))
            return $"it has {Text.Count} names for {count} classes";
        if ((Numbers is null) != (NumberType is null) || (Numbers is not null && (Text is not null || Numbers.Count != count)))
            return "the values of its classes do not suit each other";
        if ((Values is null) != (ValueType is null)
            || (Values is not null && (Text is not null || Numbers is not null || Values.Count != count || Values.Contains(null!))))
            return "the values of its classes do not suit each other";
        if (NumberType is not null && !NumberTypes.Contains(NumberType))
            return $"its classes are no values of type {NumberType}";
        (ClassValueType? type, IReadOnlyList<string>? texts) = Texts();
        return texts is null || (type is not null && texts.All(type.CanParse))
            ? null
            : $"its classes are no values of type {NumberType ?? ValueType}";
    }

    public LabelKeys ToKeys(int count)
    {
        (ClassValueType? type, IReadOnlyList<string>? texts) = Texts();
        return new LabelKeys(count, type, texts);
    }

    private (ClassValueType? Type, IReadOnlyList<string>? Texts) Texts()
    {
        if (Text is not null)
            return (ClassValueType.Of(TextDataViewType.Instance), Text);
        if (Numbers is null)
            return (ClassValueType.Named(ValueType), Values);
        // A double has more digits than the float it was made of.
        return (ClassValueType.Named(NumberType), [.. Numbers.Select(number =>
            NumberType == nameof(Single)
            ? ((float)number).ToString(CultureInfo.InvariantCulture) : number.ToString(CultureInfo.InvariantCulture))]);
    }
}
