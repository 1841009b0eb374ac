using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>What has to be arranged before torch's native libraries are loaded.</summary>
internal static class Startup
{
    /// <summary>Runs when the first member of this assembly is used. Loads nothing.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255:The 'ModuleInitializer' attribute should not be used in libraries",
        Justification = "Nothing else comes before a user's first call of torch.")]
    internal static void Run()
    {
        OpenMPWaiting.Shorten();
        HeapRetention.Extend();
        TorchLibraries.Watch();
    }
}
