using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Forecasting;

/// <summary>The command <c>forecast</c>: forecasts the ends of series beside simple methods.</summary>
internal static class ForecastCommand
{
    private const int DefaultHorizon = 10;
    private const double DefaultConfidence = 0.95;

    /// <summary>How much of a series stands in front of a forecast, in horizons.</summary>
    private const int ShownHorizons = 8;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FILE",
            "A CSV file whose first column is the time and whose last is the value, or a .tsf file with many series (default: yearly sunspots).");
        Option<int> horizon = CommandOptions.Positive("--horizon", DefaultHorizon, "Steps to forecast.");
        Option<double> confidence =
            CommandOptions.Share("--confidence", DefaultConfidence, "The share of values that are to lie inside of the intervals, such as 0.9.");
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Passes over the windows (default: that of the trainer).");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        Option<string?> plot =
            CommandOptions.Product("--plot", "Draw the last forecast with its history and intervals to this PNG file.");
        var command = new System.CommandLine.Command("forecast", "Forecast one series or many with a latent ODE, beside simple methods.")
        {
            data, horizon, confidence, epochs, seed, json, plot,
        };
        command.SetAction((result, cancellationToken) => Task.Run(
            () =>
            {
                OutputFile? figures = OutputFile.At("--json", result.GetValue(json)),
                    picture = OutputFile.At("--plot", result.GetValue(plot));
                var context = new MLContext(result.GetValue(seed));
                ForecastSet set = ForecastSet.Load(context, result.GetValue(data));
                Run(context, set, result.GetValue(horizon), result.GetValue(confidence), result.GetValue(epochs), figures, picture, display,
                    cancellationToken);
                return 0;
            }, cancellationToken));
        return command;
    }

    private static string Range(int least, int most) => least == most ? $"{least}" : $"{least} to {most}";

    private static void Run(
        MLContext context, ForecastSet set, int horizon, double confidence, int? epochs, OutputFile? json, OutputFile? picture, Display display,
        CancellationToken cancellationToken)
    {
        int[] lengths = [.. set.Series.Select(series => series.Length)];
        display.Line(
            $"{set.Name}: {set.Series.Count} series of {Range(lengths.Min(), lengths.Max())} observations; {horizon} steps are forecast.");
        var story = new ForecastStory(set, horizon, confidence, epochs);
        (ForecastScore model, IReadOnlyDictionary<string, ForecastScore> baselines) =
            display.Progress("training", report => story.Run(context, report, cancellationToken));
        using LatentOdeForecastingTransformer trained = story.Model!;
        display.Line(string.Create(CultureInfo.InvariantCulture,
            $"{trained.Model.ContextLength} observations are looked at; the latent equation counts {trained.Model.LatentShare:P0}. ")
            + $"{story.TestCount} forecasts:");
        display.Table(Table(model, baselines, horizon, confidence));
        json?.WriteJson(
            new
            {
                name = set.Name,
                horizon,
                forecasts = story.TestCount,
                mae = model.Mae,
                mase = model.Mase,
                coverage = model.Coverage,
                confidenceLevel = confidence,
                maeFirstStep = model.OneStep,
                maeLastStep = model.LastStep,
                baselines = baselines.ToDictionary(pair => pair.Key, pair => new
                {
                    horizon,
                    mae = pair.Value.Mae,
                    mase = pair.Value.Mase,
                    coverage = pair.Value.Coverage,
                    maeFirstStep = pair.Value.OneStep,
                    maeLastStep = pair.Value.LastStep,
                }),
            }, Format);
        if (picture is not null)
        {
            Draw(set, story, confidence).SavePng(picture.FullPath);
            display.Line($"Picture: {picture.FullPath}");
        }
    }

    private static Figure Draw(ForecastSet set, ForecastStory story, double confidence)
    {
        (Observation[] series, SeriesForecast forecast) = story.Last!.Value;
        int shown = (ShownHorizons + 1) * forecast.Times.Length;
        Observation[] observed = [.. series.Skip(series.Length - shown).Where(row => float.IsFinite(row.Value))];
        return Figures.SeriesWithIntervals(
            $"{set.Name}: the last {forecast.Times.Length} values, forecast from those before", forecast.Times, Doubles(forecast.Values),
            Doubles(forecast.LowerBounds), Doubles(forecast.UpperBounds),
            new Curve("observed", [.. observed.Select(row => row.Time)], [.. observed.Select(row => (double)row.Value)]), xLabel: "time",
            intervalName: $"{confidence * 100:F0} % interval");
    }

    private static double[] Doubles(float[] values) => [.. values.Select(value => (double)value)];

    private static Table Table(
        ForecastScore model, IReadOnlyDictionary<string, ForecastScore> baselines, int horizon, double confidence)
    {
        Table table = new Table().Border(TableBorder.Simple).Title("Mean absolute errors").AddColumn("");
        foreach (string name in (string[])["1 step", $"{horizon} steps", "all", "MASE",
            $"in the {confidence * 100:F0} % interval"])
            table.AddColumn(new TableColumn(name).RightAligned());
        Row("latent ODE", model);
        foreach ((string name, ForecastScore score) in baselines.OrderBy(pair => pair.Value.Mae))
            Row(name, score);
        return table;

        void Row(string name, ForecastScore score) => table.AddRow(
            [name, .. ((double[])[score.OneStep, score.LastStep, score.Mae, score.Mase]).Select(error =>
                error.ToString("G4", CultureInfo.InvariantCulture)),
                score.Coverage.ToString("P1", CultureInfo.InvariantCulture)]);
    }
}
