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
    public abstract long Read(ScorerInput input);

    /// <summary>The outputs of the rows.</summary>
    public abstract void Score(float[] outputs);
}

/// <summary>Rows with all their numbers.</summary>
internal sealed class DenseScoring(IRowScorer scorer, int capacity) : RowScoring
{
    private readonly float[] _features = new float[capacity * scorer.FeatureCount];

    public override long Read(ScorerInput input)
    {
        input.Read(_features.AsSpan(Count * scorer.FeatureCount, scorer.FeatureCount));
        Count++;
        return 0;
    }

    public override void Score(float[] outputs) => scorer.Score(_features, Count, outputs);
}

/// <summary>Rows without their zeros.</summary>
internal sealed class SparseScoring(Action<SparseRows, float[]> score) : RowScoring
{
    private readonly SparseRows _rows = new();
    private int[] _slots = [];
    private float[] _values = [];

    public override void Clear()
    {
        base.Clear();
        _rows.Clear();
    }

    public override long Read(ScorerInput input)
    {
        int count = input.ReadNonZeros(ref _slots, ref _values);
        _rows.Add(new RowValues(_values.AsSpan(0, count), _slots.AsSpan(0, count)));
        Count++;
        return (sizeof(int) + sizeof(float)) * (long)count;
    }

    public override void Score(float[] outputs) => score(_rows, outputs);
}

/// <summary>Rows without their zeros, one after the other.</summary>
internal sealed class SparseRows
{
    private readonly List<int> _ends = [];
    private int[] _slots = [];
    private float[] _values = [];

    public int Count => _ends.Count;

    /// <summary>The rows of a row-major matrix.</summary>
    public static SparseRows Of(ReadOnlySpan<float> features, int rows, int width)
    {
        var result = new SparseRows();
        var slots = new List<int>();
        var values = new List<float>();
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> one = features.Slice(row * width, width);
            slots.Clear();
            values.Clear();
            for (int slot = 0; slot < width; slot++)
            {
                if (one[slot] == 0)
                    continue;
                slots.Add(slot);
                values.Add(one[slot]);
            }
            result.Add(new RowValues([.. values], [.. slots]));
        }
        return result;
    }

    public RowValues Row(int row)
    {
        int start = row == 0 ? 0 : _ends[row - 1];
        return new RowValues(_values.AsSpan(start, _ends[row] - start), _slots.AsSpan(start, _ends[row] - start));
    }

    public void Add(RowValues row)
    {
        int start = Count == 0 ? 0 : _ends[^1], end = start + row.Values.Length;
        if (end > _values.Length)
        {
            Array.Resize(ref _slots, Math.Max(end, 2 * start));
            Array.Resize(ref _values, _slots.Length);
        }
        row.Slots.CopyTo(_slots.AsSpan(start));
        row.Values.CopyTo(_values.AsSpan(start));
        _ends.Add(end);
    }

    public void Clear() => _ends.Clear();

    /// <summary>The same rows as a network in torch takes them; the caller disposes of them.</summary>
    public SparseBatch ToBatch(int width)
    {
        var builder = new SparseBatch.Builder(width);
        for (int row = 0; row < Count; row++)
            builder.Add(Row(row));
        return builder.Build();
    }
}
