using System.Globalization;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Benchmarks;

/// <summary>The peer's side: a script that prints one JSON object a measurement.</summary>
/// <param name="Python">The interpreter.</param>
/// <param name="Script">The script.</param>
/// <param name="TorchDiffEq">A checkout of torchdiffeq.</param>
/// <param name="Mnist">The folder of MNIST.</param>
internal sealed record Peer(string Python, string Script, string TorchDiffEq, string Mnist)
{
    // For workloads that came after the other script.
    private static readonly string OwnScript = Path.Combine(AppContext.BaseDirectory, "Peers", "torchdiffeq_more.py");

    /// <summary>The lines that one mode prints.</summary>
    public IReadOnlyList<JsonElement> Run(IEnumerable<string> mode, int threads, bool usesOwnScript)
    {
        string count = threads.ToString(CultureInfo.InvariantCulture);
        string output = ChildProcess.Run(
            Python, [usesOwnScript ? OwnScript : Script, .. mode, "--torchdiffeq", TorchDiffEq, "--mnist", Mnist, "--threads", count],
            // OpenBLAS beside torch's own threads would only be in their way.
            new Dictionary<string, string> { ["OPENBLAS_NUM_THREADS"] = "1" });
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Where(line => line.StartsWith('{')).Select(line => JsonDocument.Parse(line).RootElement)];
    }
}
