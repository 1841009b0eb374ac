using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Oscillators;

/// <summary>The command <c>oscillators</c>: what learned energies and learned accelerations are good for.</summary>
internal static class OscillatorsCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<int> steps = CommandOptions.Positive("--steps", 1500, "Training steps of each model.");
        Option<int> periods = CommandOptions.Positive("--periods", 100, "Periods of the pendulum that are solved.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> data = CommandOptions.Path(
            "--data", "FILE", "A CSV file of the Silverbox set, with the columns V1 and V2; without it the pendulum alone is learned.");
        Option<string?> output = CommandOptions.Copy();
        Option<string?> json = CommandOptions.Json();
        var command =
            new System.CommandLine.Command("oscillators", "Learn a pendulum by its energy, and a driven oscillator by its acceleration.")
        {
            steps, periods, seed, data, output, json,
        };
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                OutputFile? text = OutputFile.At("--out", result.GetValue(output)),
                    figures = OutputFile.At("--json", result.GetValue(json));
                display.Copy(text, view => Run(
                    result.GetValue(steps), result.GetValue(periods), result.GetValue(seed), result.GetValue(data), figures, view, token));
            },
            token));
        return command;
    }

    private static void Run(
        int steps, int periods, int seed, string? data, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        Silverbox? silverbox = data is null ? null : Silverbox.Read(data);
        display.Line($"A pendulum, learned from 1,000 states and their derivatives, then solved for {periods} periods:");
        var pendulums = new List<PendulumResult>();
        foreach (PendulumResult result in Pendulum.Run(steps, periods, seed, cancellationToken))
        {
            pendulums.Add(result);
            display.Line(string.Create(CultureInfo.InvariantCulture,
                $"  {result.Model,-18} error of derivatives {result.Fit:E1}, drift of the energy {result.Drift:E1} ({result.Solver})"));
        }
        var boxes = new List<SilverboxResult>();
        if (silverbox is not null)
        {
            display.Line("Silverbox, simulated from the drive alone behind the 4,000 samples of the training:");
            foreach (SilverboxResult result in silverbox.Run(steps, seed, cancellationToken))
            {
                boxes.Add(result);
                display.Line(string.Create(CultureInfo.InvariantCulture,
                    $"  {result.Model,-18} error {result.Error:F4} of the response's deviation, {result.Parameters} weights"));
            }
        }
        json?.WriteJson(new { pendulum = pendulums, silverbox = boxes }, Format);
    }
}
