using System.Diagnostics;
using System.Reflection;

namespace Microsoft.ML.NeuralOde.Benchmarks;

/// <summary>Programs that are run for what they print.</summary>
internal static class ChildProcess
{
    /// <summary>
    /// What must come before the arguments of this program when it is started again: its assembly, where <c>dotnet</c> runs it.
    /// </summary>
    public static string[] Host =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Assembly.GetExecutingAssembly().Location] : [];

    /// <exception cref="InvalidOperationException">The program failed; the message holds what it wrote.</exception>
    public static string Run(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"'{program}' could not be started.");
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException(
                $"'{program} {string.Join(' ', start.ArgumentList)}' failed with code {process.ExitCode}: {error.Result}");
        return output;
    }
}
