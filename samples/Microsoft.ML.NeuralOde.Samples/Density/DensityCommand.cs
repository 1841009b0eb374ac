using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>The command <c>density</c>: a continuous flow learns a density of the plane.</summary>
internal static class DensityCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<ToyDensity> dataset = CommandOptions.Parsed(
            "--dataset", ToyDensity.Parse("8gaussians"), ToyDensity.Names, ToyDensity.Parse, "NAME",
            $"The density to learn: {string.Join(", ", ToyDensity.Names)}.");
        Option<DensityMethod> method = CommandOptions.Named(
            "--method", DensityMethod.Matching, "METHOD", "How the flow is trained, by flow matching or by maximum likelihood");
        Option<int?> steps = CommandOptions.Positive("--steps", "Training steps; the default is enough for the method.");
        Option<int?> batch = CommandOptions.Positive("--batch", "Points a training step; the default suits the method.");
        Option<double> rate = CommandOptions.Positive("--learning-rate", 5e-3, "Highest learning rate.");
        Option<int> width = CommandOptions.Positive("--width", 128, "Width of the three hidden layers.");
        Option<FlowPairing> pairing =
            CommandOptions.Named("--pairing", FlowPairing.Independent, "PAIRING", "How flow matching pairs points with noise");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> picture = CommandOptions.Product("--png", "Write the picture to this file; default: density-NAME.png.");
        Option<string?> json = CommandOptions.Json();
        var command = new System.CommandLine.Command("density", "Learn a density of the plane with a continuous flow, and draw it.")
        {
            dataset, method, steps, batch, rate, width, pairing, seed, picture, json,
        };
        command.SetAction((result, token) =>
        {
            var settings = new DensitySettings
            {
                Dataset = result.GetValue(dataset)!,
                Method = result.GetValue(method),
                Steps = result.GetValue(steps),
                BatchSize = result.GetValue(batch),
                LearningRate = result.GetValue(rate),
                Width = result.GetValue(width),
                Pairing = result.GetValue(pairing),
                Seed = result.GetValue(seed),
            };
            return Task.Run(
                () => Run(
                    settings, OutputFile.At("--png", result.GetValue(picture) ?? $"density-{settings.Dataset.Name}.png")!,
                    OutputFile.At("--json", result.GetValue(json)), display,
                    token),
                token);
        });
        return command;
    }

    private static void Run(
        DensitySettings settings, OutputFile picture, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        display.Line(
            $"Learning {settings.Dataset.Name} by {(settings.Method == DensityMethod.Matching ? "flow matching" : "maximum likelihood")}, {settings.StepsToTake:N0} steps of {settings.PointsPerStep:N0} points.");
        (ContinuousFlow flow, DensityResult result) = display.Progress("Training", share => new DensityStory(settings).Run(
            (step, loss) =>
            {
                share((double)step / settings.StepsToTake);
                display.Line(string.Create(CultureInfo.InvariantCulture, $"step {step,6}  loss {loss:F4}"));
            },
            cancellationToken));
        using (flow)
        {
            display.Line(string.Create(CultureInfo.InvariantCulture, $"""
                Test log-likelihood {result.TestLogLikelihood:F3} nats; the density's own, which no model exceeds: {result.TrueNegativeEntropy:F3}.
                {1e3 * result.SecondsPerStep:F1} ms a training step; {result.SampleSeconds:F2} s for 10,000 samples.
                """));
            using (Tensor data = tensor(settings.Dataset.Sample(4000, new Random(settings.Seed + 3)), [4000, 2]))
                FlowFigure.Save(picture.FullPath, flow, data);
            display.Line($"Picture: {picture.FullPath}");
        }
        json?.WriteJson(result, Format);
    }
}
