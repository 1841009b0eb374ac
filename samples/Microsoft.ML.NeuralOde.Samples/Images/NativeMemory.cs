using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>Memory in use: that of .NET, and that of the C library, in which tensors lie.</summary>
internal static partial class NativeMemory
{
    private static readonly bool IsKnown =
        OperatingSystem.IsLinux() && NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "mallinfo2", out _);

    /// <summary>Bytes in use; <see langword="null"/> where the C library does not tell.</summary>
    public static long? InUse()
    {
        if (!IsKnown)
            return null;
        long managed = GC.GetTotalMemory(forceFullCollection: true);
        Books books = MallInfo();
        return managed + (long)(books.InUse + books.Mapped);
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial Books MallInfo();

    /// <summary>glibc's struct mallinfo2: ten numbers of the size of a pointer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Books
    {
        public nuint Arena, FreeChunks, FastChunks, MappedRegions, Mapped, Unused, FastFree, InUse, Free, Top;
    }
}
