using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Keeps long solves and backward sweeps from growing the process through holes in the C library's heap.</summary>
/// <remarks>
/// libtorch aligns its tensors, and glibc serves an aligned request only from a hole that is larger than it. While tensors come and go,
/// small objects settle at the edges of holes, which are then never used again: the process grows with every step, though nothing is leaked
/// and no more tensors live than before. The pages of such holes are given back when glibc is asked to. Other C libraries do not need it.
/// </remarks>
internal sealed partial class HeapGuard
{
    /// <summary>By how many bytes the process may grow before pages are given back.</summary>
    private const long Slack = 6 << 20;

    private static bool _isAvailable = OperatingSystem.IsLinux();

    private readonly bool _isNeeded;
    private readonly long _interval;
    private long _resident;
    private long _steps;

    /// <param name="like">A tensor like the state: holes grow with it, and looking costs microseconds.</param>
    public HeapGuard(Tensor like)
    {
        // The tensors of other devices do not lie in the C library's heap.
        _isNeeded = like.device_type == DeviceType.CPU;
        _interval = Math.Max(4, (2 << 20) / Math.Max(1, like.numel() * like.element_size()));
    }

    /// <summary>To be called after each step.</summary>
    public void AfterStep()
    {
        if (!_isNeeded || !_isAvailable || ++_steps % _interval != 0)
            return;
        long resident = Environment.WorkingSet;
        if (_resident != 0 && resident <= _resident + Slack)
            return;
        if (_resident != 0)
            Trim();
        _resident = Environment.WorkingSet;
    }

    private static void Trim()
    {
        try
        {
            _ = MallocTrim(0);
        }
        catch (Exception exception) when (exception is EntryPointNotFoundException or DllNotFoundException)
        {
            _isAvailable = false;
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);
}
