using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>The sets that the command knows.</summary>
internal enum LatentSetName
{
    Toy,
    Hopper,
    Brusselator,
}

/// <summary>The command <c>latent</c>: a latent ODE between and behind the observations of series, beside a GRU and simple
/// methods.</summary>
internal static class LatentCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<LatentSetName> set = CommandOptions.Named("--set", LatentSetName.Toy, "SET", "The series");
        Option<string?> data = CommandOptions.Path("--data", "FILE", "The CSV file of hopper or brusselator.");
        Option<LatentRecognition> recognition =
            CommandOptions.Named("--recognition", new LatentOdeOptions().Recognition, "KIND", "How observations are read");
        Option<LatentEvolution> evolution =
            CommandOptions.Named("--evolution", new LatentOdeOptions().Evolution, "KIND", "How the latent state moves");
        Option<LatentAnchor> anchor =
            CommandOptions.Named("--anchor", new LatentOdeOptions().Anchor, "TIME", "When the latent state is inferred");
        var single = new Option<bool>("--deterministic") { Description = "One latent state instead of a distribution." };
        var stateNoise = new Option<bool>("--state-noise") { Description = "The latent state may change the noise." };
        var calibrate = new Option<bool>("--calibrate")
        {
            Description = "Keep 15 % of the series from the training, and set the widths of intervals by them.",
        };
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Passes over the series (default: that of the set).");
        Option<int> seed = CommandOptions.Seed(1);
        var quick = new Option<bool>("--quick") { Description = "A few epochs, to see it work; toy: a tenth of the series." };
        Option<string?> output = CommandOptions.Copy();
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        var command =
            new System.CommandLine.Command("latent", "Train a latent ODE between and behind observations, beside a GRU and simple methods.")
        {
            set, data, recognition, evolution, anchor, single, stateNoise, calibrate, epochs, seed, quick, output, json,
        };
        command.SetAction((result, cancellationToken) => Task.Run(
            () =>
            {
                LatentSet chosen = Load(result.GetValue(set), result.GetValue(data), result.GetValue(seed), result.GetValue(quick));
                chosen = result.GetValue(calibrate) ? chosen : chosen.WithoutCalibration();
                OutputFile? text = OutputFile.At("--out", result.GetValue(output)),
                    file = OutputFile.At("--json", result.GetValue(json));
                var options = new LatentOdeOptions
                {
                    Channels = chosen.Channels,
                    Recognition = result.GetValue(recognition),
                    Evolution = result.GetValue(evolution),
                    Anchor = result.GetValue(anchor),
                    Variational = !result.GetValue(single),
                    StateNoise = result.GetValue(stateNoise),
                };
                display.Copy(text, view => Run(
                    chosen, options, result.GetValue(epochs) ?? (result.GetValue(quick) ? 2 : chosen.Epochs), result.GetValue(seed), file,
                    view, cancellationToken));
            }, cancellationToken));
        return command;
    }

    private static LatentSet Load(LatentSetName name, string? data, int seed, bool isQuick)
    {
        if (name == LatentSetName.Toy)
            return data is null ? LatentSets.Toy(seed, isQuick)
                : throw new UserException("--data: the set toy is made here; name hopper or brusselator by --set.");
        if (data is null)
            throw new UserException($"--data is missing; the CSV file of {name.ToString().ToLowerInvariant()} would be right.");
        return name == LatentSetName.Hopper ? LatentSets.Hopper(data) : LatentSets.Brusselator(data);
    }

    private static void Run(
        LatentSet set, LatentOdeOptions options, int epochs, int seed, OutputFile? json, Display display,
        CancellationToken cancellationToken)
    {
        var story = new LatentStory(set, epochs, seed);
        display.Line($"{set.Name}: {set.Train.Count} series to learn from, "
            + $"{(set.Calibration.Count > 0 ? $"{set.Calibration.Count} to calibrate by, " : "")}{set.Test.Count} to be judged by; {epochs} epochs.");
        manual_seed(seed);
        using var latent = new LatentOdeModel(options);
        long weights = Weights(latent);
        using var gru = new GruModel(set.Channels, GruModel.WidthFor(set.Channels, weights));
        var seconds = new Dictionary<string, double>();
        foreach (ILatentModel model in (ReadOnlySpan<ILatentModel>)[latent, gru])
        {
            seconds[model.Name] = display.Progress(model.Name, report => story.Train(model, report, cancellationToken));
            display.Line(
                string.Create(
                    CultureInfo.InvariantCulture, $"  {model.Name}: {Weights(model)} weights, trained in {seconds[model.Name]:F0} s"));
        }
        var cases = new List<(LatentCase Case, Dictionary<string, LatentFigure> Figures)>();
        foreach (LatentCase how in set.Cases)
        {
            cancellationToken.ThrowIfCancellationRequested();
            cases.Add((how, new Dictionary<string, LatentFigure>
            {
                [latent.Name] = story.Judge(latent, how),
                [gru.Name] = story.Judge(gru, how),
                ["linear model"] = story.Judge(story.FitLinear(how), how),
                ["last value"] = story.Judge(LatentBaselines.LastValues, how),
            }));
        }
        display.Table(Table(cases));
        json?.WriteJson(
            new
            {
                set = set.Name,
                epochs,
                seed,
                seconds,
                cases = cases.Select(each => new { name = each.Case.Name, methods = each.Figures })
            }, Format);
    }

    private static long Weights(ILatentModel model) => model.Module.parameters().Sum(parameter => parameter.numel());

    private static Table Table(List<(LatentCase Case, Dictionary<string, LatentFigure> Figures)> cases)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .Title("Mean square errors of standardised values (share in the 90 % interval; behind it that of calibrated ones)").AddColumn("");
        foreach (string method in cases[0].Figures.Keys)
            table.AddColumn(new TableColumn(method).RightAligned());
        foreach ((LatentCase how, Dictionary<string, LatentFigure> figures) in cases)
            table.AddRow([how.Name, .. figures.Values.Select(Text)]);
        return table;
    }

    private static string Text(LatentFigure figure) => figure.Coverage is { } coverage
        ? string.Create(CultureInfo.InvariantCulture, $"{figure.Mse:F4} ({coverage:P0}{(figure.Calibrated is { } calibrated ? $", {calibrated:P0}" : "")})")
        : figure.Mse.ToString("F4", CultureInfo.InvariantCulture);
}
