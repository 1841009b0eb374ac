using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde;

/// <summary>The native side of torch: whether this process can use it, and if not, why.</summary>
public static class TorchRuntime
{
    // TorchSharp initialises itself once a process and never again after a failure; so one probe is all there is.
    private static readonly Lazy<Failure?> ProbeResult = new(Probe);

    /// <summary>
    /// Loads torch's native libraries and makes a first tensor, or says clearly why that is not possible; without this call the first
    /// use of torch fails with a bare <see cref="TypeInitializationException"/>. Call it before anything else that touches torch, from
    /// any thread and as often as wanted: the probe runs once a process, later calls repeat its result.
    /// </summary>
    /// <remarks>
    /// On Linux the first call also makes torch's idle threads sleep after some microseconds instead of spinning for milliseconds, unless the environment
    /// variable GOMP_SPINCOUNT or OMP_WAIT_POLICY says otherwise. The trainers and models of ML.NET make this call themselves.
    /// </remarks>
    /// <exception cref="TorchRuntimeException">
    /// The libtorch package, a native file or a symbol version of a system library is missing, or the platform has no libtorch.
    /// </exception>
    public static void EnsureAvailable()
    {
        if (ProbeResult.Value is Failure failure)
            throw new TorchRuntimeException(failure.Message, failure.Cause);
    }

    private static Failure? Probe()
    {
        Assembly torchSharp = typeof(torch).Assembly;
        Exception? loaderFailure = null;
        OpenMPWaiting.Shorten();
        try
        {
            // In TorchSharp's own order: where the two packages lie in different folders, the second finds the first by its name.
            NativeLibrary.TryLoad("torch_cpu", torchSharp, null, out _);
            NativeLibrary.Load("LibTorchSharp", torchSharp, null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            // Nothing that TorchSharp could try helps against a system library that is too old.
            if (TorchLoadDiagnosis.NamesMissingVersion(e.Message))
                return Describe(e, e);
            loaderFailure = e;
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
            or EntryPointNotFoundException or NotSupportedException or ExternalException)
        {
            return Describe(loaderFailure ?? e, e);
        }
    }

    private static Failure Describe(Exception telling, Exception cause)
    {
        var diagnosis = new TorchLoadDiagnosis(
            TorchLoadDiagnosis.CurrentPlatform(),
            typeof(torch).Assembly.GetName().Version?.ToString(3) ?? "",
            LibTorchVersion(),
            TorchLoadDiagnosis.CurrentSearchFolders(typeof(torch).Assembly));
        return new Failure(diagnosis.Describe(telling), cause);
    }

    /// <summary>The version of libtorch that goes with our TorchSharp, as the build knows it.</summary>
    private static string LibTorchVersion() =>
        typeof(TorchRuntime).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "LibTorchVersion").Value!;

    private sealed record Failure(string Message, Exception Cause);
}
