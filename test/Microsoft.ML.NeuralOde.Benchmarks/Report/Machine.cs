using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.NeuralOde.Benchmarks.Report;

/// <summary>Where the figures were measured.</summary>
internal sealed record Machine(string Processor, int Cores, string System, string Runtime, int VectorBits)
{
    public static Machine Current => new(
        ProcessorName(), Environment.ProcessorCount, $"{RuntimeInformation.OSDescription} ({RuntimeInformation.ProcessArchitecture})",
        RuntimeInformation.FrameworkDescription,
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128);

    private static string ProcessorName()
    {
        const string Information = "/proc/cpuinfo";
        string? line = File.Exists(Information)
            ? File.ReadLines(Information).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
