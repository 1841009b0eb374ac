using System.CommandLine;
using System.Globalization;
using Microsoft.ML.NeuralOde.Benchmarks.Workloads;

namespace Microsoft.ML.NeuralOde.Benchmarks;

/// <summary>
/// The command <c>memory</c>: one measurement of memory growth, in this process. <c>compare</c> starts it once for each figure.
/// </summary>
internal static class MemoryCommand
{
    public static System.CommandLine.Command Create()
    {
        var steps = new Option<int>("--steps") { Description = "Forced steps.", DefaultValueFactory = _ => 256 };
        var gradient = new Option<string>("--gradient") { Description = "The gradient method.", DefaultValueFactory = _ => "adjoint" };
        var command = new System.CommandLine.Command(
            "memory", "Print the growth of resident memory, in MB, over one solve and its gradient.") { steps, gradient };
        command.SetAction(result => Console.WriteLine(
            MemoryBySteps.Measure(result.GetValue(steps), result.GetValue(gradient)!).ToString("F1", CultureInfo.InvariantCulture)));
        return command;
    }

    /// <summary>Measures in a process of its own.</summary>
    public static double MeasureApart(int steps, string gradient)
    {
        string output = ChildProcess.Run(
            Environment.ProcessPath!,
            [.. ChildProcess.Host, "memory", "--steps", steps.ToString(CultureInfo.InvariantCulture), "--gradient", gradient], null);
        return double.Parse(output, CultureInfo.InvariantCulture);
    }
}
