using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>What stands beside the weights in a model file.</summary>
/// <param name="Network">The network's structure.</param>
/// <param name="FeatureColumn">The feature column.</param>
/// <param name="FeatureDimensions">The dimensions of its vectors.</param>
/// <param name="Columns">The columns of the predictions.</param>
/// <param name="Classes">The values of the classes, where there are classes and their values are known.</param>
/// <param name="History">What happened in each epoch of the training.</param>
internal sealed record ModelDescription(
    NetworkDescription Network, string FeatureColumn, int[] FeatureDimensions, OutputColumns Columns, ClassValues? Classes, IReadOnlyList<NeuralOdeEpochReport> History)
{
    public static ModelDescription Of(FittedNetwork fitted, NeuralOdePredictorOptions options, OutputColumns columns, LabelKeys? keys = null) => new(
        fitted.Network.Description, options.FeatureColumnName, [.. ((VectorDataViewType)fitted.FeatureType).Dimensions], columns,
        keys is null ? null : new ClassValues(keys.Text, keys.Numbers, keys.NumberType), fitted.History);
}

/// <summary>The names of the columns of the predictions, null for those that a task does not have, and whether a regression has a vector of them.</summary>
internal sealed record OutputColumns(string Score, string? PredictedLabel = null, string? Probability = null, bool IsVector = false);

/// <summary>The values of classes: texts, or numbers and the name of their type.</summary>
internal sealed record ClassValues(IReadOnlyList<string>? Text, IReadOnlyList<double>? Numbers, string? NumberType)
{
    public LabelKeys ToKeys(int count) => new(count, Text is null ? null : [.. Text], Numbers is null ? null : [.. Numbers], NumberType);
}
