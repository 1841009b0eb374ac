using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>Programs that lie beside the tests, each run as a process of its own.</summary>
internal static class Programs
{
    public const string ModelHost = "Microsoft.ML.NeuralOde.ModelHost.dll";
    public const string TrainingHost = "Microsoft.ML.NeuralOde.TrainingHost.dll";

    /// <summary>Starts a program, whose output can be read.</summary>
    /// <param name="program">Its file: a name beside the tests, or a full path.</param>
    /// <param name="arguments">What it is started with.</param>
    /// <param name="set">What else is said of the process, such as its environment.</param>
    public static Process Start(string program, IEnumerable<string> arguments, Action<ProcessStartInfo>? set = null)
    {
        string host = Path.GetFileNameWithoutExtension(Environment.ProcessPath!) == "dotnet" ? Environment.ProcessPath! : "dotnet";
        var start = new ProcessStartInfo(
            host, [Path.Combine(AppContext.BaseDirectory, program), .. arguments])
        { RedirectStandardOutput = true };
        set?.Invoke(start);
        return Process.Start(start)!;
    }

    /// <summary>Runs a program to its end.</summary>
    public static (int Code, string Output) Run(string program, IEnumerable<string> arguments, Action<ProcessStartInfo>? set = null)
    {
        using Process process = Start(program, arguments, set);
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
