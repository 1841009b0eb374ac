using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Rows that are to be scored together, in the format that their scorer takes.</summary>
internal abstract class RowScoring
{
    /// <summary>How many rows were read.</summary>
    public int Count { get; protected set; }

    /// <summary>Makes ready for other rows.</summary>
    public virtual void Clear() => Count = 0;

    /// <summary>Reads the row that the input stands on.</summary>
    /// <returns>The memory that it takes beyond what was set aside for it, in bytes.</returns>
    public abstract long Read();

    /// <summary>The outputs of the rows.</summary>
    public abstract void Score(float[] outputs);
}

/// <summary>Rows with all their numbers.</summary>
internal sealed class DenseScoring(IVectorScorer scorer, ScorerInput input, int capacity) : RowScoring
{
    private readonly float[] _features = new float[capacity * scorer.FeatureCount];

    public override long Read()
    {
        input.Read(_features.AsSpan(Count * scorer.FeatureCount, scorer.FeatureCount));
        Count++;
        return 0;
    }

    public override void Score(float[] outputs) => scorer.Score(_features, Count, outputs);
}

/// <summary>Rows without their zeros.</summary>
internal sealed class SparseScoring(ScorerInput input, Action<SparseRows, float[]> score) : RowScoring
{
    private readonly SparseRows _rows = new();
    private int[] _slots = [];
    private float[] _values = [];

    public override void Clear()
    {
        base.Clear();
        _rows.Clear();
    }

    public override long Read()
    {
        int count = input.ReadNonZeros(ref _slots, ref _values);
        _rows.Add(new RowValues(_values.AsSpan(0, count), _slots.AsSpan(0, count)));
        Count++;
        return (sizeof(int) + sizeof(float)) * (long)count;
    }

    public override void Score(float[] outputs) => score(_rows, outputs);
}
