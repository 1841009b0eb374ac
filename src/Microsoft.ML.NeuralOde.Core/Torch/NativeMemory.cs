namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>
/// Native memory that an object of ours keeps alive: the garbage collector sees the small object alone, and would let gigabytes wait for
/// it. It is told once so much waits that it matters: who disposes of solutions causes no collections.
/// </summary>
internal sealed class NativeMemory : IDisposable
{
    /// <summary>What may wait before the collector is told of more.</summary>
    private const long Untold = 64 << 20;

    private static long _alive;

    private readonly long _bytes;
    private readonly bool _isTold;
    private int _isReleased;

    public NativeMemory(long bytes)
    {
        _bytes = Math.Max(0, bytes);
        _isTold = Interlocked.Add(ref _alive, _bytes) > Untold && _bytes > 0;
        if (_isTold)
            GC.AddMemoryPressure(_bytes);
    }

    ~NativeMemory() => Release();

    /// <summary>What all such objects hold together.</summary>
    internal static long Alive => Interlocked.Read(ref _alive);

    /// <summary>What tensors take.</summary>
    public static long Of(params ReadOnlySpan<Tensor?> tensors)
    {
        long bytes = 0;
        foreach (Tensor? tensor in tensors)
            if (tensor is { IsInvalid: false })
                bytes += tensor.numel() * tensor.element_size();
        return bytes;
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        if (Interlocked.Exchange(ref _isReleased, 1) != 0)
            return;
        Interlocked.Add(ref _alive, -_bytes);
        if (_isTold)
            GC.RemoveMemoryPressure(_bytes);
    }
}
