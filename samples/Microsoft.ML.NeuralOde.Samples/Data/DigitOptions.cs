using System.CommandLine;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>Options that all commands on digits have.</summary>
internal static class DigitOptions
{
    public static Option<bool> Embedded() =>
        new("--embedded") { Description = $"Take the embedded digits even where {DigitSource.EnvironmentVariable} names a folder." };

    public static Option<int?> Limit() =>
        CommandOptions.Positive("--limit", "Use at most this many training images, and at most as many test images.");

    public static Option<OdeMethod> Solver(OdeMethod defaultValue)
    {
        string[] names = [.. OdeMethod.All.Select(method => method.Name)];
        return CommandOptions.Parsed(
            "--solver", defaultValue, names, OdeMethod.Parse, "METHOD", $"Method that solves the equation: {string.Join(", ", names)}.");
    }
}
