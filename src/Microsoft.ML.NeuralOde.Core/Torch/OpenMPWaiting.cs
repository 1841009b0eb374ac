using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>How long libgomp's threads, on which libtorch works on Linux, stay awake for the next piece of work.</summary>
/// <remarks>
/// By default they spin for milliseconds and keep the cores from everything else in the process: our own kernels, the data reader, a
/// service's requests. Some microseconds bridge the gap between two operations as well. Measured with two threads on two cores: a step of a
/// flow takes two thirds of the time, an epoch of a small network with built-in dynamics as well, and one with user-written dynamics the
/// same as before.
/// </remarks>
internal static partial class OpenMPWaiting
{
    private const string SpinCount = "GOMP_SPINCOUNT", Policy = "OMP_WAIT_POLICY";

    // About ten microseconds.
    private const string Spins = "1000";

    /// <summary>To be called before libtorch is loaded, since libgomp looks at the environment once; what the user has set stays.</summary>
    public static void Shorten()
    {
        if (!OperatingSystem.IsLinux() || Environment.GetEnvironmentVariable(SpinCount) is not null
            || Environment.GetEnvironmentVariable(Policy) is not null)
            return;
        try
        {
            // .NET's own copy of the environment does not reach native libraries.
            _ = SetEnvironment(SpinCount, Spins, 0);
        }
        catch (Exception exception) when (exception is EntryPointNotFoundException or DllNotFoundException)
        {
            // Then they spin.
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
