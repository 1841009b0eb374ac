using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>What the C library's heap, in which torch's tensors live, holds at the moment: its own books, without what it keeps in
/// reserve.</summary>
internal static class NativeHeap
{
    /// <summary>Whether the books can be read: with the GNU C library 2.33 or newer.</summary>
    public static bool IsKnown { get; } = OperatingSystem.IsLinux()
        && NativeLibrary.TryLoad("libc.so.6", out nint library) && NativeLibrary.TryGetExport(library, "mallinfo2", out _);

    /// <summary>Bytes in use; 0 where that is not known.</summary>
    public static long BytesInUse()
    {
        if (!IsKnown)
            return 0;
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Books books = Read();
        return (long)(books.Used + books.Mapped);
    }

    [DllImport("libc.so.6", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern Books Read();

    // struct mallinfo2 of malloc.h: ten numbers.
    [StructLayout(LayoutKind.Sequential)]
    private struct Books
    {
        public nuint Arena;
        public nuint FreeBlocks;
        public nuint FastBlocks;
        public nuint MappedBlocks;
        public nuint Mapped;
        public nuint Unused;
        public nuint FastBytes;
        public nuint Used;
        public nuint Free;
        public nuint Top;
    }
}
