using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Reads what a scorer of vectors needs of the current row: its features and, behind them, its condition.</summary>
internal sealed class ScorerInput
{
    private readonly VectorReader _features;
    private readonly LabelFormat.Reader? _getCondition;

    public ScorerInput(DataViewRow row, ScoredSchema schema)
    {
        _features = new VectorReader(row, schema.Inputs.Features, "feature");
        if (schema.Inputs.Condition is { } condition)
            _getCondition = new NumberLabel(condition.Name, "condition").Open(row, condition);
    }

    /// <exception cref="InvalidOperationException">A vector has another length than its column's type.</exception>
    public void Read(Span<float> target)
    {
        _features.Read(target[.._features.Size]);
        // Missing values are the scorer's affair, as they are among the features.
        _getCondition?.Invoke(target[_features.Size..]);
    }

    /// <summary>Reads the features that are not zero; there is no condition beside such features.</summary>
    /// <inheritdoc cref="VectorReader.ReadNonZeros"/>
    public int ReadNonZeros(ref int[] slots, ref float[] values) => _features.ReadNonZeros(ref slots, ref values);
}
