using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Augmented;

/// <summary>
/// The command <c>augmented</c>: two problems that an equation in the space of its input cannot solve, and what solves them.
/// </summary>
internal static class AugmentedCommand
{
    private const double Solved = 1e-3;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<int> steps = CommandOptions.Positive("--steps", 1000, "Training steps of each model.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> picture = CommandOptions.Product("--png", "Write the picture to this file; default: augmented.png.");
        Option<string?> json = CommandOptions.Json();
        var command = new System.CommandLine.Command(
            "augmented", "Learn what paths that may not cross cannot do, with further dimensions and velocities.")
        {
            steps, seed, picture, json,
        };
        command.SetAction((result, token) => Task.Run(
            () => Run(
                result.GetValue(steps), result.GetValue(seed), OutputFile.At("--png", result.GetValue(picture) ?? "augmented.png")!,
                OutputFile.At("--json", result.GetValue(json)), display, token),
            token));
        return command;
    }

    private static void Run(int steps, int seed, OutputFile picture, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        using DisposeScope scope = NewDisposeScope();
        var results = new List<CrossingResult>();
        var panels = new List<Figure>();
        foreach (CrossingProblem problem in new[] { CrossingProblem.Line(), CrossingProblem.Spheres(seed) })
        {
            random.manual_seed(seed);
            display.Line(problem.Name == "line"
                ? "g(x) = −x on the line, 21 points:" : "A disc of radius 0.5 in a ring from 1 to 1.5, 200 points:");
            foreach (CrossingModel model in CrossingModel.For(problem))
            {
                CrossingResult result = model.Train(problem, steps, cancellationToken);
                results.Add(result);
                display.Line(string.Create(CultureInfo.InvariantCulture,
                    $"  {result.Model,-12}  loss {result.Loss:E1}  {(result.Loss < Solved ? "solved    " : "not solved")}  {result.Evaluations,4} evaluations, {result.Parameters} weights"));
                if (result.Model is "plain" or "augmented")
                    panels.Add(Panel(problem, model));
            }
        }
        Figure.Combine("Paths that may not cross, and a further dimension", 2, panels).SavePng(picture.FullPath);
        display.Line($"Picture: {picture.FullPath}");
        json?.WriteJson(results, Format);
    }

    /// <summary>On the line, place against time; of the spheres the plane in which the states spread most.</summary>
    private static Figure Panel(CrossingProblem problem, CrossingModel model)
    {
        bool isLine = problem.Features == 1;
        int stride = isLine ? 1 : 2;
        Tensor index = arange(0, problem.Inputs.shape[0], stride);
        Tensor times = linspace(0, 1, 41);
        Tensor way = model.Way(problem.Inputs.index_select(0, index), times);
        Tensor drawn = isLine ? cat([times.reshape(-1, 1, 1).expand(-1, way.shape[1], 1), way.narrow(2, 0, 1)], 2) : way;
        return Figures.Trajectories(
            drawn, [.. problem.Classes.Where((_, i) => i % stride == 0)], problem.Names,
            isLine ? $"{model.Kind}: x against t" : $"{model.Kind}: disc and ring");
    }
}
