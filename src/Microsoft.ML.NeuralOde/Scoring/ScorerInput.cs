using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Reads what a scorer needs of the current row: its features and, behind them, its condition.</summary>
internal sealed class ScorerInput
{
    private readonly ValueGetter<VBuffer<float>> _getFeatures;
    private readonly LabelFormat.Reader? _getCondition;
    private readonly int _features;
    private VBuffer<float> _row;

    public ScorerInput(DataViewRow row, ScoredSchema schema)
    {
        _getFeatures = row.GetGetter<VBuffer<float>>(schema.Features);
        _features = ((VectorDataViewType)schema.Features.Type).Size;
        if (schema.Condition is { } condition)
            _getCondition = new NumberLabel(condition.Name).Open(row, condition);
    }

    public void Read(Span<float> target)
    {
        _getFeatures(ref _row);
        _row.CopyTo(target[.._features]);
        // Missing values are the scorer's affair, as they are among the features.
        _getCondition?.Invoke(target[_features..]);
    }
}
