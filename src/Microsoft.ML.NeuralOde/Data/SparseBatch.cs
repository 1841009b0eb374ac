namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows without their zeros: each number with its row and its slot, row after row.</summary>
internal sealed class SparseBatch : FeatureBatch
{
    private readonly int _width;

    private SparseBatch(int width, long count, long[] used, Tensor slots, Tensor places, Tensor rows, Tensor values)
    {
        _width = width;
        UsedSlots = used;
        Count = count;
        Slots = slots;
        Places = places;
        Rows = rows;
        Values = values;
    }

    public override long Count { get; }

    public override long[] UsedSlots { get; }

    /// <summary><see cref="UsedSlots"/> as a tensor, shape <c>[used]</c>.</summary>
    public Tensor Slots { get; }

    /// <summary>For each number, the place of its slot among <see cref="Slots"/>, shape <c>[numbers]</c>.</summary>
    public Tensor Places { get; }

    /// <summary>For each number, its row, shape <c>[numbers]</c>.</summary>
    public Tensor Rows { get; }

    /// <summary>The numbers, shape <c>[numbers]</c>.</summary>
    public Tensor Values { get; }

    public override FeatureBatch To(Device device) =>
        new SparseBatch(_width, Count, UsedSlots, Slots.to(device), Places.to(device), Rows.to(device), Values.to(device));

    public override Tensor ToDense()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor dense = zeros([Count, _width], ScalarType.Float32, Values.device);
        // Whole numbers: torch refuses to scale them by others.
        using Scalar width = (long)_width, one = 1L;
        Tensor places = Rows.mul(width).add(Slots.index_select(0, Places), one);
        dense.view(-1).index_copy_(0, places, Values);
        return dense.MoveToOuterDisposeScope();
    }

    protected override void Dispose(bool disposing)
    {
        Slots.Dispose();
        Places.Dispose();
        Rows.Dispose();
        Values.Dispose();
    }

    /// <summary>Puts rows together.</summary>
    internal sealed class Builder(int width)
    {
        private readonly List<int> _slots = [];
        private readonly List<long> _rows = [];
        private readonly List<float> _values = [];
        private long _count;

        public void Add(RowValues row)
        {
            _slots.AddRange(row.Slots);
            _values.AddRange(row.Values);
            for (int i = 0; i < row.Values.Length; i++)
                _rows.Add(_count);
            _count++;
        }

        /// <summary>The rows; the caller disposes of them.</summary>
        public SparseBatch Build()
        {
            long[] used = [.. _slots.Distinct().Order().Select(slot => (long)slot)];
            using DisposeScope scope = NewDisposeScope();
            return new SparseBatch(
                width, _count, used, tensor(used, device: CPU).DetachFromDisposeScope(),
                tensor(_slots.Select(slot => (long)Array.BinarySearch(used, (long)slot)).ToArray(), device: CPU).DetachFromDisposeScope(),
                tensor(_rows.ToArray(), device: CPU).DetachFromDisposeScope(),
                tensor(_values.ToArray(), device: CPU).DetachFromDisposeScope());
        }
    }
}

/// <summary>A copy of the weights of the slots that a batch used, which is a leaf of the graph.</summary>
/// <param name="Slots">The slots, ascending.</param>
/// <param name="Values">Shape <c>[slots, outputs]</c>; its gradient is that of the weights.</param>
internal sealed record SlotWeights(long[] Slots, Tensor Values);
