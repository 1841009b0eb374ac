using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Series;

/// <summary>The command <c>series</c>: classifies or regresses on series as they are, with fewer and fewer observations.</summary>
internal static class SeriesCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FOLDER", "A folder with NAME_TRAIN.ts and NAME_TEST.ts.");
        data.Required = true;
        Option<double[]> drop =
            CommandOptions.Shares("--drop", [0], "Shares of the observations to drop, from 0 to below 1, separated by commas.");
        Option<string?> masks = CommandOptions.Path("--masks", "FOLDER",
            "Files NAME_dropNN.txt that say which observations are kept (default: the folder masks beside that of the data; without such a file they are drawn at random).");
        Option<int> seeds = CommandOptions.Positive("--seeds", 1, "Seeds, each of which trains anew.");
        Option<int> seed = CommandOptions.Seed(1, "The first of them, and that of the observations to drop.");
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Passes over the series (default: that of the trainer).");
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        Option<string?> plot = CommandOptions.Product("--plot", "Draw series, and what a model says as they unfold, to this PNG file.");
        var command =
            new System.CommandLine.Command("series", "Train a neural CDE on series of any length, with gaps, beside simple methods.")
        {
            data, drop, masks, seeds, seed, epochs, json, plot,
        };
        command.SetAction((result, cancellationToken) => Task.Run(
            () =>
            {
                string folder = Path.GetFullPath(result.GetValue(data)!);
                SeriesSet set = SeriesSet.Load(new MLContext(1), folder);
                var story = new SeriesStory(
                    set, result.GetValue(masks) ?? Path.Combine(folder, "..", "masks"), result.GetValue(epochs), result.GetValue(seed));
                OutputFile? figures = OutputFile.At("--json", result.GetValue(json)),
                    picture = OutputFile.At("--plot", result.GetValue(plot));
                Run(set, story, result.GetValue(drop)!, result.GetValue(seeds), figures, display, cancellationToken);
                if (picture is not null)
                {
                    story.Picture!.SavePng(picture.FullPath);
                    display.Line($"Picture: {picture.FullPath}");
                }
                return 0;
            }, cancellationToken));
        return command;
    }

    private static void Run(
        SeriesSet set, SeriesStory story, double[] drops, int seeds, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        int[] lengths = [.. set.Train.Concat(set.Test).Select(row => row.Times.Length)];
        string label = set.IsRegression ? "a number to predict" : $"{set.Classes.Count} classes";
        display.Line(
            $"{set.Name}: {set.Train.Count} series to learn from, {set.Test.Count} to be judged by, {lengths.Min()} to {lengths.Max()} observations of {set.Channels} channels, {label}.");
        var shares = new List<SeriesShare>();
        foreach (double drop in drops)
            shares.Add(display.Progress($"{drop:P0} dropped", report => story.Run(drop, seeds, report, cancellationToken)));
        display.Table(Table(set, shares, seeds));
        object[] all = [.. shares.Select(share => Describe(set, share, seeds))];
        json?.WriteJson(all.Length == 1 ? all[0] : all, Format);
    }

    private static object Describe(SeriesSet set, SeriesShare share, int seeds) => new
    {
        name = set.Name,
        drop = share.Drop,
        accuracy = set.IsRegression ? null : (double?)share.Figure.Mean,
        rmse = set.IsRegression ? (double?)share.Figure.Mean : null,
        deviation = share.Figure.Deviation,
        seconds = share.Seconds.Mean,
        seeds,
        baselines = share.Baselines,
    };

    private static Table Table(SeriesSet set, List<SeriesShare> shares, int seeds)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .Title($"{(set.IsRegression ? "RMSE" : "Accuracy")} on the test set by the share of observations dropped").AddColumn("");
        foreach (SeriesShare share in shares)
            table.AddColumn(new TableColumn(share.Drop.ToString("P0", CultureInfo.InvariantCulture)).RightAligned());
        table.AddRow([$"neural CDE, {seeds} seed{(seeds == 1 ? "" : "s")}", .. shares.Select(share => Text(share.Figure))]);
        foreach (string name in shares[0].Baselines.Keys)
            table.AddRow([name, .. shares.Select(share => share.Baselines[name].ToString("F4", CultureInfo.InvariantCulture))]);
        table.AddRow(["seconds of a training", .. shares.Select(share => share.Seconds.Mean.ToString("F1", CultureInfo.InvariantCulture))]);
        return table;
    }

    private static string Text(Tabular.Spread spread) => spread.Deviation == 0
        ? spread.Mean.ToString("F4", CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{spread.Mean:F4} ± {spread.Deviation:F4}");
}
