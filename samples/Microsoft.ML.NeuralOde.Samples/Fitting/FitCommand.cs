using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Fitting;

/// <summary>The command <c>fit</c>: equations from what was observed of their solutions.</summary>
internal static class FitCommand
{
    private const int FineSteps = 400;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<int> iterations = CommandOptions.Positive(
            "--iterations", new OdeNetworkFitOptions().MaximumIterations, "Most iterations of each search for a network's weights.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        Option<string?> plot = CommandOptions.Product("--plot", "Draw observations, fits and what comes next to this PNG file.");
        var command = new System.CommandLine.Command(
            "fit", "Fit four rates of prey and predators, and networks to two spirals and a pendulum, to noisy observations.")
        {
            iterations, seed, json, plot,
        };
        command.SetAction((result, cancellationToken) => Task.Run(
            () =>
            {
                OutputFile? figures = OutputFile.At("--json", result.GetValue(json)),
                    picture = OutputFile.At("--plot", result.GetValue(plot));
                Run(result.GetValue(iterations), result.GetValue(seed), figures, picture, display, cancellationToken);
            },
            cancellationToken));
        return command;
    }

    private static void Run(
        int iterations, int seed, OutputFile? json, OutputFile? picture, Display display, CancellationToken cancellationToken)
    {
        (RatesResult rates, OdeTrajectory counts, OdeFitResult fit) = RatesStory.Run(seed, cancellationToken);
        display.Line(string.Create(CultureInfo.InvariantCulture,
            $"{rates.System}: {rates.Observations} observations with {rates.Noise:P0} noise, fitted in {rates.Seconds:F1} s"));
        display.Table(Table(rates));
        var figures = new List<Figure> { Draw(counts, fit) };
        var networks = new List<NetworkResult>();
        foreach (NetworkStory story in (NetworkStory[])[NetworkStory.Spiral, NetworkStory.CubicSpiral, NetworkStory.Pendulum])
        {
            (NetworkResult result, OdeTrajectory observed, double[,] found) = story.Run(iterations, seed, cancellationToken);
            networks.Add(result);
            figures.Add(Draw(story, observed, found));
            display.Line(string.Create(CultureInfo.InvariantCulture,
                $"{result.System}: {result.Observations} observations with {result.Noise:P0} noise until {result.End}, "
                + $"{result.Weights} weights trained in {result.Seconds:F1} s; the next two periods, until {result.AheadEnd:F1}, "
                + $"are forecast within {result.Error:P1} of the amplitude."));
        }
        json?.WriteJson(new { seed, rates, networks }, Format);
        if (picture is not null)
        {
            Figure.Combine("equations from observations", figures.Count, figures).SavePng(picture.FullPath);
            display.Line($"Picture: {picture.FullPath}");
        }
    }

    private static Table Table(RatesResult rates)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("");
        foreach (string name in (string[])["true", "found", "standard error", "error"])
            table.AddColumn(new TableColumn(name).RightAligned());
        foreach (FittedRate rate in rates.Parameters)
            table.AddRow(
                rate.Name, rate.True.ToString("G4", CultureInfo.InvariantCulture), rate.Found.ToString("F4", CultureInfo.InvariantCulture),
                rate.StandardError.ToString("F4", CultureInfo.InvariantCulture), rate.Error.ToString("P2", CultureInfo.InvariantCulture));
        return table;
    }

    private static Figure Draw(OdeTrajectory counts, OdeFitResult fit)
    {
        FitSystem system = RatesStory.System;
        double[] times = [.. Enumerable.Range(0, FineSteps + 1).Select(i => system.End * i / FineSteps)];
        NativeOdeSolution solution = fit.Solve([.. fit.InitialStates[0]], times);
        return Figures.Lines(system.Name, "time t", "number",
        [
            .. system.Components.Select((name, c) => Points($"{name}, observed", counts, c)),
            .. system.Components.Select((name, c) => new Curve(name, times, [.. times.Select((_, i) => solution[i][c])])),
        ]);
    }

    private static Figure Draw(NetworkStory story, OdeTrajectory observed, double[,] found)
    {
        FitSystem system = story.System;
        return Figures.Lines($"{system.Name}: trained until {system.End}", "time t", system.Components[0],
        [
            Points("observed", observed, 0),
            new Curve("truth", story.Times, FitSystem.Column(system.Solve(story.Times), 0)) { IsReference = true },
            new Curve("network", story.Times, FitSystem.Column(found, 0)),
        ]);
    }

    private static Curve Points(string name, OdeTrajectory observed, int component) =>
        new(name, observed.Times, FitSystem.Column(observed.Values, component)) { IsScatter = true };
}
