using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.TestData;

/// <summary>
/// The heap of glibc, in which libtorch's tensors lie, as its own books have it: the same in every run, whatever the machine does besides.
/// </summary>
internal static partial class NativeHeap
{
    public const string Unknown = "The C library is not glibc, whose heap this test measures.";

    public static bool IsKnown { get; } = OperatingSystem.IsLinux()
        && NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "malloc_info", out _);

    /// <summary>Bytes that are in use in this heap and in the managed one, after everything that nobody holds was collected.</summary>
    public static long BytesHeld()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        return GC.GetTotalMemory(forceFullCollection: true) + BytesInUse();
    }

    /// <summary>Bytes that are in use: neither holes nor what is kept for later.</summary>
    public static long BytesInUse()
    {
        nint stream = OpenMemoryStream(out nint text, out nuint length);
        try
        {
            _ = MallocInfo(0, stream);
            _ = Close(stream);
            stream = 0;
            string books = Marshal.PtrToStringUTF8(text, (int)length);
            // The sums over all arenas stand at the end.
            string sums = books[(books.LastIndexOf("</heap>", StringComparison.Ordinal) + 1)..];
            return Size(sums, "system type=\"current\"")
                + Size(sums, "total type=\"mmap\"") - Size(sums, "total type=\"fast\"") - Size(sums, "total type=\"rest\"");
        }
        finally
        {
            if (stream != 0)
                _ = Close(stream);
            Free(text);
        }
    }

    /// <summary>Gives the pages of all holes back, so that what comes after takes pages of its own.</summary>
    public static void Trim() => _ = MallocTrim(0);

    private static long Size(string sums, string entry) =>
        long.Parse(Regex.Match(sums, $"<{entry}[^>]* size=\"(\\d+)\"").Groups[1].ValueSpan, CultureInfo.InvariantCulture);

    [LibraryImport("libc", EntryPoint = "open_memstream")]
    private static partial nint OpenMemoryStream(out nint text, out nuint length);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);

    [LibraryImport("libc", EntryPoint = "malloc_info")]
    private static partial int MallocInfo(int options, nint stream);

    [LibraryImport("libc", EntryPoint = "fclose")]
    private static partial int Close(nint stream);

    [LibraryImport("libc", EntryPoint = "free")]
    private static partial void Free(nint memory);
}

/// <summary>A test that reads glibc's books of its heap; skipped where there are none.</summary>
public sealed class NativeHeapFactAttribute : FactAttribute
{
    public NativeHeapFactAttribute() => Skip = NativeHeap.IsKnown ? null : NativeHeap.Unknown;
}

/// <summary>The same with cases.</summary>
public sealed class NativeHeapTheoryAttribute : TheoryAttribute
{
    public NativeHeapTheoryAttribute() => Skip = NativeHeap.IsKnown ? null : NativeHeap.Unknown;
}
