using Microsoft.ML.NeuralOde.Prediction;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>What stands beside the weights in a file of a model on series.</summary>
/// <param name="Kind">What its outputs mean, the name of an <see cref="OutputKind"/>.</param>
/// <param name="Network">The network's structure.</param>
/// <param name="TimeColumn">The column of times; null for 0, 1, 2, ….</param>
/// <param name="ValueColumns">The column of values, or one a channel.</param>
/// <param name="Columns">The columns of the predictions.</param>
/// <param name="Classes">The values of the classes, where there are classes and their values are known.</param>
/// <param name="History">What happened in each epoch of the training.</param>
/// <param name="Options">The trainer's options as text, for people.</param>
internal sealed record CdeModelDescription(
    string Kind, CdeDescription Network, string? TimeColumn, string[] ValueColumns, OutputColumns Columns, ClassValues? Classes,
    IReadOnlyList<NeuralOdeEpochReport> History, IReadOnlyDictionary<string, string>? Options)
{
    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (!Enum.TryParse(Kind, out OutputKind kind) || !Enum.IsDefined(kind))
            return $"it predicts '{Kind}', which this version does not know";
        if (Network is null || Columns is null || History is null)
            return "a part of its description is missing";
        if (Network.FindDefect() is { } defect)
            return defect;
        if (ValueColumns is not { Length: > 0 } || ValueColumns.Any(string.IsNullOrWhiteSpace)
            || (TimeColumn is not null && string.IsNullOrWhiteSpace(TimeColumn)))
            return OutputColumns.MissingName;
        if (ValueColumns.Length > 1 && ValueColumns.Length != Network.ChannelCount)
            return $"it has {ValueColumns.Length} columns for {Network.ChannelCount} channels";
        return Columns.FindDefect(kind, Network.OutputCount, Classes, History);
    }
}
