using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>
/// The command <c>density</c>: a continuous flow learns a density of the plane, or a table of numbers and categories, and draws rows.
/// </summary>
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
        Option<string?> table = CommandOptions.Path(
            "--table", "FILE", "Learn this CSV file with a header instead, of numbers and categories, and draw a table like it.");
        Option<int> rows = CommandOptions.Positive("--rows", 1000, "With --table: rows to draw.");
        Option<int?> epochs = CommandOptions.Positive("--epochs", "With --table: epochs of the training; the estimator's default.");
        Option<MissingNumbers> missing = CommandOptions.Named(
            "--missing", MissingNumbers.Refuse, "WHAT", "With --table: what becomes of rows without a number in a column of numbers");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> picture = CommandOptions.Product(
            "--png", "Write the picture to this file, or with --table the rows; default: density-NAME.png, or density-NAME.csv.");
        Option<string?> json = CommandOptions.Json();
        var command = new System.CommandLine.Command(
            "density", "Learn a density of the plane, or a table, with a continuous flow, and draw it.")
        {
            dataset, method, steps, batch, rate, width, pairing, table, rows, epochs, missing, seed, picture, json,
        };
        command.Validators.Add(result =>
        {
            bool isTable = IsGiven(table);
            Option[] foreign = isTable ? [dataset, method, steps, batch, rate, width, pairing] : [rows, epochs, missing];
            foreach (Option option in foreign.Where(IsGiven))
                result.AddError(isTable
                    ? $"{option.Name} does not go with {table.Name}, whose training has --epochs."
                    : $"{option.Name} goes with {table.Name}, which is missing.");

            bool IsGiven(Option option) => result.GetResult(option) is { Implicit: false };
        });
        command.SetAction((result, token) =>
        {
            if (result.GetValue(table) is { } file)
                return Task.Run(
                    () => Run(
                        MixedTable.Read(file, result.GetValue(missing)),
                        new TableSettings(
                            result.GetValue(rows), result.GetValue(epochs), result.GetValue(seed), result.GetValue(missing)),
                        OutputFile.At("--out", result.GetValue(picture) ?? $"density-{Path.GetFileNameWithoutExtension(file)}.csv")!,
                        OutputFile.At("--json", result.GetValue(json)), display, token),
                    token);
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
        MixedTable table, TableSettings settings, OutputFile output, OutputFile? json, Display display,
        CancellationToken cancellationToken)
    {
        (TableResult result, string csv) =
            display.Progress("Training", report => TableStory.Run(table, settings, report, cancellationToken));
        output.Write(csv);
        CopyCheck check = result.Check;
        display.Line(string.Create(CultureInfo.InvariantCulture, $"""
            Learned from {result.TrainingRows:N0} rows of {result.Table}, {result.Numbers} numbers and {result.Categories} categories; {result.HeldBackRows:N0} rows were held back. {result.Seconds:F0} s.
            Distance to the nearest training row, in standard deviations: median {check.MedianDistance:F3} of the {settings.Rows:N0} generated rows, {check.HeldBackMedianDistance:F3} of those held back.
            {check.NearShare:P1} of the generated rows come as near as the nearest of those held back, of which {check.HeldBackNearShare:P1} do; {check.EqualRows:P1} equal a training row, and {check.HeldBackEqualRows:P1} of those held back.
            Distance between cumulative distributions, mean over the features: {result.MarginalDistance:F3} of generated rows, {result.HeldBackMarginalDistance:F3} of training rows.
            {(check.LooksCopied ? "More rows come near training rows than chance explains: some may be copies. Fewer --epochs, or more rows to learn from, would help." : "No sign of copies.")}
            Rows: {output.FullPath}
            """));
        json?.WriteJson(result, Format);
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
