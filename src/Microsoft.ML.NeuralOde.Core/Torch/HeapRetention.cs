using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>How much freed memory the C library keeps for the next tensors instead of giving it back to the system.</summary>
/// <remarks>
/// glibc gives the top of its heap back as soon as twice the largest piece that was ever freed lies there, and has pieces above 32 MB
/// mapped and unmapped one by one: a training step on images fetches all of its memory anew, page by page. Measured with the convolutional
/// ODE-Net, 20 batches of 128 digits: 1.7 seconds in the kernel became 0.5, of 7.2 altogether. Other C libraries have no such setting.
/// </remarks>
internal static partial class HeapRetention
{
    private const int TrimThreshold = -1, MapThreshold = -3;

    // What a user may have said about it.
    private static readonly string[] Settings = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"];

    /// <summary>To be called once; what the user has set stays.</summary>
    public static void Extend()
    {
        if (!OperatingSystem.IsLinux() || Settings.Any(name => Environment.GetEnvironmentVariable(name) is not null))
            return;
        (int kept, int mapped) = Thresholds(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        try
        {
            _ = SetOption(TrimThreshold, kept);
            _ = SetOption(MapThreshold, mapped);
        }
        catch (Exception exception) when (exception is EntryPointNotFoundException or DllNotFoundException)
        {
            // Then its own rules hold.
        }
    }

    /// <summary>How many free bytes stay, and from how many on a piece is mapped by itself.</summary>
    /// <param name="available">The memory of the machine, or of the container.</param>
    internal static (int Kept, int Mapped) Thresholds(long available)
    {
        // No less than glibc comes to by its own rules, and a sixteenth of what there is.
        int kept = (int)Math.Clamp(available / 16, 64 << 20, 256 << 20);
        return (kept, Math.Max(32 << 20, kept / 4));
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);
}
