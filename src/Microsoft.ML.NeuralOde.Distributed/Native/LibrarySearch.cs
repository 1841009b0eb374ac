using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Finds an MPI library of the MPICH ABI, or says what stands in the way.</summary>
internal static class LibrarySearch
{
    public const string Variable = "NEURALODE_MPI_LIBRARY";

    private const string OpenMpiSymbol = "ompi_mpi_comm_world";

    private const string Remedy =
        "Install MPICH on each host ('apt-get install mpich' on Debian and Ubuntu, 'dnf install mpich' on Fedora, "
        + "'brew install mpich' on macOS, MS-MPI on Windows), load the module of Intel MPI, Cray MPI or MVAPICH, or name the file of the library in "
        + Variable + ".";

    /// <summary>Where one is usually found, by the system's rules.</summary>
    private static string[] Usual => OperatingSystem.IsWindows() ? ["msmpi.dll", "impi.dll"]
        : OperatingSystem.IsMacOS()
        ? ["libmpich.12.dylib", "libmpi.12.dylib", "/opt/homebrew/lib/libmpi.12.dylib", "/usr/local/lib/libmpi.12.dylib"]
        : ["libmpich.so.12", "libmpi.so.12", "libmpi_cray.so.12", "libmpi_gnu_123.so.12"];

    private static string[] OpenMpi => OperatingSystem.IsMacOS()
        ? ["libmpi.40.dylib", "libmpi.80.dylib"]
        : ["libmpi.so.40", "libmpi.so.80", "libmpi.so.20"];

    /// <summary>Loads a library.</summary>
    /// <param name="given">Its file or name; null for what the environment says, or the first that is found.</param>
    /// <exception cref="MpiException">There is none, or it is none of the MPICH ABI.</exception>
    public static (nint Handle, string Name) Find(string? given)
    {
        given ??= Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable ? variable : null;
        foreach (string name in given is null ? Usual : [given])
        {
            if (!NativeLibrary.TryLoad(name, out nint handle))
                continue;
            Check(handle, name);
            return (handle, name);
        }
        if (given is not null)
            throw new MpiException($"The MPI library '{given}' cannot be loaded. {Remedy}");
        if (Array.Find(OpenMpi, name => NativeLibrary.TryLoad(name, out _)) is { } open)
            throw IsOpenMpi(open);
        throw new MpiException($"No MPI library is found (looked for {string.Join(", ", Usual)}). {Remedy}");
    }

    private static void Check(nint handle, string name)
    {
        if (NativeLibrary.TryGetExport(handle, OpenMpiSymbol, out _))
            throw IsOpenMpi(name);
        if (!NativeLibrary.TryGetExport(handle, "MPI_Iallreduce", out _))
            throw new MpiException($"'{name}' is no library of MPI 3: it has no MPI_Iallreduce. {Remedy}");
    }

    private static MpiException IsOpenMpi(string name) => new(
        $"'{name}' is Open MPI, whose binary interface is another one than that of MPICH, for which this package is made. {Remedy} Start the "
        + "program with the mpiexec of that library ('mpiexec.mpich' or 'mpiexec.hydra' where both are installed).");
}
