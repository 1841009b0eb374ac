using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>The command <c>small</c>: systems of a few states, gradients over many output times or many steps, all in turn.</summary>
internal static class SmallCommand
{
    public static System.CommandLine.Command Create()
    {
        var only = new Option<string>("--only") { Description = "Measure those workloads whose name contains this text." };
        var rounds = new Option<int>("--rounds") { Description = "How often each is measured.", DefaultValueFactory = _ => 25 };
        var markdown = new Option<string>("--markdown") { Description = "Write the table into this document." };
        var command = new System.CommandLine.Command(
            "small", "Time systems of a few states, and gradients over many outputs and steps.") { only, rounds, markdown };
        command.SetAction(result => Run(result.GetValue(only) ?? "", result.GetValue(rounds), result.GetValue(markdown)));
        return command;
    }

    private static void Run(string only, int rounds, string? markdown)
    {
        set_num_threads(1);
        SmallWorkload[] all =
        [
            .. NativeWorkloads.All, .. SpiralWorkloads.All, .. LayeredWorkloads.All, .. StepWorkloads.All, .. SeedStepWorkloads.All,
        ];
        SmallWorkload[] workloads = [.. all.Where(workload => workload.Name.Contains(only, StringComparison.OrdinalIgnoreCase))];
        var measured = workloads.ToDictionary(workload => workload, _ => new List<double>());
        var costs = new Dictionary<SmallWorkload, SolverStatistics>();
        foreach (SmallWorkload workload in workloads)
            costs[workload] = WarmUp(workload);
        // In turn and often, so that what else the machine does meets all of them, and some rounds of each not.
        for (int round = 0; round < rounds; round++)
            foreach (SmallWorkload workload in workloads)
                measured[workload].Add(Milliseconds(workload));
        var text = new StringBuilder();
        text.Append("| workload | time | evaluations, forward + backward | steps |\n|---|---:|---|---:|\n");
        foreach (SmallWorkload workload in workloads)
        {
            SolverStatistics cost = costs[workload];
            text.Append(CultureInfo.InvariantCulture, $"| {workload.Name} | {Time(measured[workload].Min())} | ");
            text.Append(CultureInfo.InvariantCulture, $"{cost.FunctionEvaluations} + {cost.BackwardEvaluations} | ");
            text.Append(CultureInfo.InvariantCulture, $"{cost.AcceptedSteps} |\n");
        }
        Console.Write(text);
        if (markdown is not null)
            DocumentSection.Write(markdown, "small", text.ToString());
    }

    /// <summary>The methods are compiled, and compiled again when they turn out to be busy.</summary>
    private static SolverStatistics WarmUp(SmallWorkload workload)
    {
        SolverStatistics cost = workload.Run();
        for (var watch = Stopwatch.StartNew(); watch.ElapsedMilliseconds < 300;)
            cost = workload.Run();
        return cost;
    }

    private static double Milliseconds(SmallWorkload workload)
    {
        int runs = 0;
        var watch = Stopwatch.StartNew();
        do
        {
            workload.Run();
            runs++;
        }
        while (watch.ElapsedMilliseconds < 30);
        return watch.Elapsed.TotalMilliseconds / runs;
    }

    private static string Time(double milliseconds) => milliseconds < 1
        ? string.Create(CultureInfo.InvariantCulture, $"{1000 * milliseconds:G3} µs")
        : string.Create(CultureInfo.InvariantCulture, $"{milliseconds:G3} ms");
}

/// <summary>Something to measure.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Run">Does it once, and tells what it cost.</param>
internal sealed record SmallWorkload(string Name, Func<SolverStatistics> Run);
