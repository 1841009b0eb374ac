using System.CommandLine;
using BenchmarkDotNet.Running;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>The command <c>kernels</c>: BenchmarkDotNet; what follows <c>--</c> is for it.</summary>
internal static class KernelsCommand
{
    public static System.CommandLine.Command Create()
    {
        var rest = new Argument<string[]>(
            "arguments")
        { Description = "Arguments of BenchmarkDotNet, behind --, such as -- --filter *Dense*." };
        var command = new System.CommandLine.Command("kernels", "Measure the kernels by BenchmarkDotNet.") { rest };
        command.SetAction(result =>
        {
            string[] given = result.GetValue(rest) ?? [];
            BenchmarkSwitcher.FromAssembly(typeof(KernelsCommand).Assembly).Run(given.Length == 0 ? ["--filter", "*"] : given);
        });
        return command;
    }
}
