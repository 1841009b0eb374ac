using System.CommandLine;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>The command <c>odenet</c>: a convolutional network learns images, with an ODE block and without.</summary>
internal static class OdeNetCommand
{
    private static readonly ImageSettings Defaults = new();

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "DIR",
            "Folder with four files of MNIST's format, of MNIST or of another set of ten classes. Otherwise the folder named by NEURALODE_DATA, "
            + "otherwise the 5,000 digits that the program carries.");
        Option<bool> embedded = DigitOptions.Embedded();
        Option<int?> epochs =
            CommandOptions.Positive("--epochs", "Passes over the training images (default: 5, and 10 for at most 10,000 images).");
        Option<ImageNetworkName> network = CommandOptions.Named(
            "--network", Defaults.Network, "NETWORK", "What stands behind the convolutions, an ODE, residual layers, or nothing");
        var alone = new Option<bool>("--no-ablation") { Description = "Do not train the network without a block beside it." };
        Option<int> batchSize = CommandOptions.Positive("--batch-size", Defaults.BatchSize, "Images in a training step.");
        Option<double> learningRate = CommandOptions.Positive("--learning-rate", Defaults.LearningRate, "Highest learning rate of AdamW.");
        Option<int> channels = CommandOptions.Positive("--channels", Defaults.Channels, "Channels behind the first convolution.");
        Option<int> layers = CommandOptions.Positive("--layers", Defaults.Layers, "Layers of the ResNet.");
        Option<OdeMethod> solver = DigitOptions.Solver(Defaults.Solver);
        Option<double?> step =
            CommandOptions.NotNegative("--step-size", $"Its step; 0 lets an adaptive method choose (default: {Defaults.StepSize}).");
        Option<double?> shift =
            CommandOptions.NotNegative("--shift", $"Pixels by which training images are shifted at most (default: {Defaults.Shift}).");
        Option<double?> rotation =
            CommandOptions.NotNegative("--rotation", $"Degrees by which they are turned at most (default: {Defaults.Rotation}).");
        Option<int> seed = CommandOptions.Seed(Defaults.Seed);
        Option<int?> limit = DigitOptions.Limit();
        Option<string?> model = CommandOptions.Product("--model", "Save the model to this file.");
        Option<string?> checkpoint =
            CommandOptions.Path("--checkpoint", "DIR", "Keep the training in this folder; begun again, it goes on from there.");
        Option<string?> json = CommandOptions.Json("Write all final figures to this file.");
        var command = new System.CommandLine.Command("odenet", "Learn images with a convolutional ODE-Net, its discrete twin, or neither.")
        {
            data, embedded, epochs, network, alone, batchSize, learningRate, channels, layers, solver, step, shift, rotation, seed, limit,
            model, checkpoint, json,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(embedded) && result.GetValue(data) is not null)
                result.AddError("--embedded excludes --data; one of them would be right.");
        });
        command.SetAction(async (result, token) =>
        {
            var settings = new ImageSettings
            {
                Data = result.GetValue(data),
                Embedded = result.GetValue(embedded),
                Epochs = result.GetValue(epochs),
                Network = result.GetValue(network),
                Ablation = !result.GetValue(alone) && result.GetValue(network) != ImageNetworkName.None,
                BatchSize = result.GetValue(batchSize),
                LearningRate = result.GetValue(learningRate),
                Channels = result.GetValue(channels),
                Layers = result.GetValue(layers),
                Solver = result.GetRequiredValue(solver),
                StepSize = result.GetValue(step) ?? Defaults.StepSize,
                Shift = result.GetValue(shift) ?? Defaults.Shift,
                Rotation = result.GetValue(rotation) ?? Defaults.Rotation,
                Seed = result.GetValue(seed),
                Limit = result.GetValue(limit),
                Model = result.GetValue(model),
                Checkpoint = result.GetValue(checkpoint),
                Json = result.GetValue(json),
            };
            await RunAsync(settings, display, token).ConfigureAwait(false);
            return 0;
        });
        return command;
    }

    internal static async Task<OdeNetFigures> RunAsync(ImageSettings settings, Display display, CancellationToken cancellationToken)
    {
        OutputFile? model = OutputFile.At("--model", settings.Model), json = OutputFile.At("--json", settings.Json);
        DigitData data = (await DigitSource.ChooseAsync(settings.Data, settings.Embedded, null, display, cancellationToken)
            .ConfigureAwait(false)).Limit(settings.Limit);
        int epochs = settings.EpochsFor(data.Train.Count);
        display.Line($"Data: {data.Train.Count:N0} + {data.Test.Count:N0} images, {data.Origin}");
        var mlContext = new MLContext(settings.Seed);
        ImageNetworkName[] networks = settings.Ablation ? [settings.Network, ImageNetworkName.None] : [settings.Network];
        var all = new List<NetworkFigures>();
        string summary = "";
        foreach (ImageNetworkName network in networks)
        {
            NeuralOdeClassificationTrainer.Options options = ImageTraining.Options(
                settings with { Checkpoint = settings.Checkpoint is { } folder ? Path.Combine(folder, $"{network}") : null },
                ImageSettings.Block(network), epochs, epoch => display.Line(TrainingLines.Epoch(epoch)), cancellationToken);
            display.Line($"Training {network}: {epochs} epochs in batches of {settings.BatchSize}");
            (NeuralOdeClassificationTransformer fitted, NetworkFigures figures) = ImageTraining.Run(mlContext, data, options, $"{network}");
            using (fitted)
            {
                all.Add(figures);
                if (network != settings.Network)
                    continue;
                summary = options.ToString();
                display.Line(fitted.Model.Summary.ToString());
                if (model is not null)
                {
                    mlContext.Model.SaveSealed(fitted, data.Train.ToDataView(mlContext).Schema, model.FullPath);
                    display.Line($"Model: {model.FullPath}");
                }
            }
        }
        display.Table(Table(all));
        var result = new OdeNetFigures
        {
            Data = data.Origin,
            TrainRows = data.Train.Count,
            TestRows = data.Test.Count,
            Network = all[0].Network,
            TestAccuracy = all[0].TestAccuracy,
            SecondsPerEpoch = all[0].SecondsPerEpoch,
            Parameters = all[0].Parameters,
            Options = summary,
            Figures = all[0],
            Ablation = all.Count > 1 ? all[1] : null,
        };
        json?.Write(result.ToJson());
        return result;
    }

    private static Table Table(IEnumerable<NetworkFigures> all)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("network");
        foreach (string column in new[] { "test accuracy", "error", "log-loss", "weights", "evaluations", "s/epoch", "images/s scored" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (NetworkFigures figures in all)
            table.AddRow(
                figures.Network, $"{figures.TestAccuracy:P2}", $"{1 - figures.TestAccuracy:P2}", $"{figures.LogLoss:F4}",
                $"{figures.Parameters:N0}",
                $"{figures.EvaluationsPerBatch:F1}", $"{figures.SecondsPerEpoch:F1}", $"{figures.ImagesPerSecond:N0}");
        return table;
    }
}
