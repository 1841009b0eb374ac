using System.Globalization;
using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.Benchmarks;

/// <summary>
/// Diffrax's side: a script that runs all of its workloads and prints a line for each, <c>diffrax NAME: NUMBER ms</c>.
/// </summary>
/// <param name="Python">An interpreter with JAX and Diffrax.</param>
/// <param name="Script">The script.</param>
internal sealed partial record DiffraxPeer(string Python, string Script)
{
    /// <summary>What was printed elsewhere, on another machine: for the eye, not for a ratio.</summary>
    public static IReadOnlyDictionary<string, double> Recorded { get; } =
        Read(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Peers", "diffrax_recorded.txt")));

    /// <summary>Runs the script on the processor, so many times.</summary>
    /// <returns>The median milliseconds of each workload.</returns>
    /// <exception cref="InvalidOperationException">The script failed, or printed no figure.</exception>
    public IReadOnlyDictionary<string, double> Run(int rounds)
    {
        var environment = new Dictionary<string, string> { ["JAX_PLATFORMS"] = "cpu" };
        var figures = Enumerable.Range(0, rounds).SelectMany(_ => Read(ChildProcess.Run(Python, [Script], environment)))
            .GroupBy(figure => figure.Key, figure => figure.Value)
            .ToDictionary(same => same.Key, same => same.Order().ElementAt(same.Count() / 2));
        return figures.Count > 0 ? figures
            : throw new InvalidOperationException($"'{Python} {Script}' printed no line of the form 'diffrax NAME: NUMBER ms'.");
    }

    /// <summary>The figures of an output.</summary>
    public static Dictionary<string, double> Read(string output) => Line().Matches(output).ToDictionary(
        match => match.Groups["name"].Value, match => double.Parse(match.Groups["ms"].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex(@"^diffrax (?<name>[^:\n]+): (?<ms>[\d.]+) ms\b", RegexOptions.Multiline)]
    private static partial Regex Line();
}
