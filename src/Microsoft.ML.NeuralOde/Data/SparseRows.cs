using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Data;

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
            result.Add(new RowValues(CollectionsMarshal.AsSpan(values), CollectionsMarshal.AsSpan(slots)));
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
