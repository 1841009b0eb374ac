using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// Memory that stays where it is and grows as needed; aligned to cache lines. Starts as zeros; growing forgets the contents.
/// </summary>
internal sealed unsafe class Scratch<T>
    where T : unmanaged
{
    private const int Alignment = 64;

    private T[] _memory = [];

    public Scratch(nint count = 0) => Ensure(count);

    public T* Start { get; private set; }

    /// <summary>How many numbers there is room for.</summary>
    public nint Count { get; private set; }

    public T* Ensure(nint count)
    {
        if (count <= Count)
            return Start;
        _memory = GC.AllocateArray<T>((int)count + Alignment / sizeof(T), pinned: true);
        nuint address = (nuint)Unsafe.AsPointer(ref _memory[0]);
        Start = (T*)((address + Alignment - 1) & ~(nuint)(Alignment - 1));
        Count = count;
        return Start;
    }
}
