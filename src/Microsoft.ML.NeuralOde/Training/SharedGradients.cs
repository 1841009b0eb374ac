using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Adds the gradients of several processes up, in few large messages.</summary>
/// <remarks>
/// Gradients are of what each process's rows contribute to the mean over the whole batch, so that their sum is that of the mean.
/// </remarks>
internal sealed class SharedGradients(Team team)
{
    // Small gradients go together; a message of this size costs its transfer and hardly any waiting.
    private const int BucketBytes = 1 << 24;

    private readonly Bucket<float> _singles = new(values => team.Sum(values));
    private readonly Bucket<double> _doubles = new(values => team.Sum(values));

    /// <summary>Makes each gradient the sum of those of all processes.</summary>
    /// <returns>The slots that any process has used; null where no weight has slots.</returns>
    public long[]? Sum(IReadOnlyList<WeightGradient> gradients)
    {
        using IDisposable noGrad = no_grad();
        long[]? slots = null;
        foreach (WeightGradient gradient in gradients)
        {
            if (gradient.Slots is not null)
                slots = Unite(gradient);
            Take(gradient.Values);
        }
        _singles.Flush();
        _doubles.Flush();
        return slots;
    }

    /// <summary>Spreads a gradient over the slots of all processes, zero where this one has none.</summary>
    private long[] Unite(WeightGradient gradient)
    {
        long[] all = [.. new SortedSet<long>(team.Gather(gradient.Slots).SelectMany(slots => slots))];
        using Tensor places = tensor([.. gradient.Slots!.Select(slot => (long)Array.BinarySearch(all, slot))]);
        Tensor united = zeros([all.Length, gradient.Values.shape[1]], gradient.Values.dtype);
        united.index_copy_(0, places, gradient.Values);
        gradient.Replace(all, united);
        return all;
    }

    private void Take(Tensor gradient)
    {
        if (gradient.dtype == ScalarType.Float32)
            _singles.Take(gradient);
        else if (gradient.dtype == ScalarType.Float64)
            _doubles.Take(gradient);
        else
            throw new NotSupportedException(
                $"A weight has type {gradient.dtype}; weights of a training of several processes must be float32 or float64.");
    }

    /// <summary>Gradients of one type on their way.</summary>
    private sealed class Bucket<T>(Bucket<T>.Summation sum)
        where T : unmanaged
    {
        private readonly List<Tensor> _tensors = [];
        private T[] _values = [];
        private int _used;

        public delegate void Summation(Span<T> values);

        private static int Capacity => BucketBytes / Marshal.SizeOf<T>();

        public void Take(Tensor gradient)
        {
            int size = checked((int)gradient.numel());
            if (_used > 0 && _used + size > Capacity)
                Flush();
            if (_used + size > _values.Length)
                Array.Resize(ref _values, _used + size);
            using (NewDisposeScope())
                MemoryMarshal.Cast<byte, T>(gradient.to(CPU).contiguous().bytes).CopyTo(_values.AsSpan(_used));
            _tensors.Add(gradient);
            _used += size;
        }

        public void Flush()
        {
            if (_tensors.Count == 0)
                return;
            sum(_values.AsSpan(0, _used));
            int start = 0;
            foreach (Tensor gradient in _tensors)
            {
                using Tensor flat = empty(gradient.shape, gradient.dtype, CPU);
                int size = (int)gradient.numel();
                _values.AsSpan(start, size).CopyTo(MemoryMarshal.Cast<byte, T>(flat.bytes));
                gradient.copy_(flat);
                start += size;
            }
            _tensors.Clear();
            _used = 0;
        }
    }
}
