using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde;

/// <summary>The native side of torch: whether this process can use it, and if not, why.</summary>
public static class TorchRuntime
{
    // TorchSharp initialises itself once a process and never again after a failure; so one probe is all there is.
    private static readonly Lazy<TorchRuntimeException?> ProbeResult = new(Probe);

    /// <summary>
    /// Loads torch's native libraries and makes a first tensor, or says clearly why that is not possible; without this call the first
    /// use of torch may fail with a bare <see cref="TypeInitializationException"/>. Call it before anything else that touches torch, from
    /// any thread and as often as wanted: the probe runs once a process, later calls repeat its result.
    /// </summary>
    /// <remarks>
    /// The trainers and models of ML.NET make this call themselves, and modules of this library that cannot load torch fail with the same
    /// exception. As soon as anything of this library is used, before torch is loaded:
    /// <list type="bullet">
    /// <item>On Linux, torch's idle threads sleep after some microseconds instead of spinning for milliseconds, unless the environment
    /// variable GOMP_SPINCOUNT or OMP_WAIT_POLICY says otherwise.</item>
    /// <item>On Linux, the program's own libtorch is loaded by its path, so that one that the system has besides does not get between.</item>
    /// <item>On 64-bit Intel Linux whose libstdc++ is older than GCC 13's, a copy of TorchSharp's native library without that requirement
    /// is loaded where the plain load fails. It is kept in <c>$XDG_CACHE_HOME/Microsoft.ML.NeuralOde</c> (<c>~/.cache</c> by default),
    /// readable and writable by the user alone, and compared on each use; where no such folder can be written, a temporary file serves that
    /// is deleted once it is loaded.</item>
    /// </list>
    /// A script whose first lines touch torch before anything of this library calls <see cref="EnsureAvailable"/> first.
    /// </remarks>
    /// <exception cref="TorchRuntimeException">
    /// The libtorch package, a native file or a symbol version of a system library is missing, or the platform has no libtorch.
    /// </exception>
    public static void EnsureAvailable()
    {
        if (ProbeResult.Value is { } failure)
            throw new TorchRuntimeException(failure.Message, failure.InnerException!);
    }

    private static TorchRuntimeException? Probe()
    {
        TorchRuntimeException? loading = null;
        try
        {
            TorchLibraries.Handle();
        }
        catch (TorchRuntimeException e)
        {
            // Nothing that TorchSharp could try helps against a system library that is too old, and beside files of the program's own it
            // could find another libtorch.
            if (TorchLibraries.HasTorch || TorchLoadDiagnosis.NamesMissingVersion(e.InnerException!.Message))
                return e;
            loading = e;
        }

        try
        {
            // TorchSharp has fallbacks for notebooks, where natives are taken from the package cache: its word is the last one.
            RuntimeHelpers.RunClassConstructor(typeof(torch).TypeHandle);
            using torch.Tensor ones = torch.ones(2, dtype: torch.float32, device: torch.CPU);
            using torch.Tensor sum = ones.sum();
            _ = sum.item<float>();
            return null;
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or BadImageFormatException
            or EntryPointNotFoundException or NotSupportedException or ExternalException or TorchRuntimeException)
        {
            return loading is null ? TorchLibraries.Describe(e, e) : new TorchRuntimeException(loading.Message, e);
        }
    }
}
