using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>The command <c>resnet-vs-ode</c>: networks that are discrete and continuous in depth, side by side.</summary>
internal static class ResNetVsOdeCommand
{
    private const int Shown = 4, PathPoints = 60, MemoryRows = 128;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "DIR",
            "Folder with four files of MNIST's format. Otherwise the folder named by NEURALODE_DATA, otherwise the 5,000 digits that the program carries.");
        Option<bool> embedded = DigitOptions.Embedded();
        Option<int> epochs = CommandOptions.Positive("--epochs", 5, "Passes over the training images.");
        Option<int> depth = CommandOptions.Positive("--depth", 16, "Layers of the deepest ResNet; depths are powers of two up to it.");
        Option<int> channels = CommandOptions.Positive("--channels", 16, "Channels of the networks.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<int> limit =
            CommandOptions.Positive("--limit", 4000, "Use at most this many training images, and at most as many test images.");
        Option<string?> picture = CommandOptions.Product("--png", "Write the picture to this file; default: resnet-vs-ode.png.");
        Option<string?> json = CommandOptions.Json();
        var command = new System.CommandLine.Command(
            "resnet-vs-ode", "Compare residual networks with neural ODEs by depth: accuracy, weights, time and memory.")
        {
            data, embedded, epochs, depth, channels, seed, limit, picture, json,
        };
        command.Validators.Add(result =>
        {
            // An option that was left out has no value yet.
            if (result.GetResult(depth) is { Tokens.Count: > 0 } && result.GetValue(depth) < 2)
                result.AddError($"--depth is '{result.GetValue(depth)}'; a whole number of at least 2 would be right.");
        });
        command.SetAction(async (result, token) =>
        {
            OutputFile png = OutputFile.At("--png", result.GetValue(picture) ?? "resnet-vs-ode.png")!;
            OutputFile? figures = OutputFile.At("--json", result.GetValue(json));
            DigitData digits = (await DigitSource.ChooseAsync(result.GetValue(data), result.GetValue(embedded), null, display, token)
                .ConfigureAwait(false))
                .Limit(result.GetValue(limit));
            display.Line($"Data: {digits.Train.Count:N0} + {digits.Test.Count:N0} images, {digits.Origin}");
            var settings = new ImageSettings
            {
                Channels = result.GetValue(channels),
                Epochs = result.GetValue(epochs),
                Seed = result.GetValue(seed),
                BatchSize = 64,
                Shift = 0,
                Rotation = 0,
            };
            List<DepthResult> results = await Task.Run(() => Run(settings, digits, result.GetValue(depth), png, display, token), token)
                .ConfigureAwait(false);
            figures?.WriteJson(results, Format);
            return 0;
        });
        return command;
    }

    private static List<DepthResult> Run(
        ImageSettings settings, DigitData digits, int deepest, OutputFile picture, Display display, CancellationToken token)
    {
        var mlContext = new MLContext(settings.Seed);
        using DisposeScope scope = NewDisposeScope();
        Tensor images = Images(digits.Test, MemoryRows);
        var results = new List<DepthResult>();
        List<DepthPath> discrete = [], continuous = [];
        for (int depth = 2; depth <= deepest; depth *= 2)
        {
            foreach ((string name, ConvolutionalBlock block) in new[]
            {
                ("ResNet", ConvolutionalBlock.Residual), ("ResNet, shared weights", ConvolutionalBlock.SharedResidual),
                ("ODE", ConvolutionalBlock.Ode),
            })
            {
                bool isOde = block == ConvolutionalBlock.Ode;
                // The midpoint rule evaluates the right-hand side twice a step: as often as the ResNet has layers.
                int steps = depth / 2;
                NeuralOdeClassificationTrainer.Options options = ImageTraining.Options(
                    settings with { Layers = depth, Solver = OdeMethod.Midpoint, StepSize = 1.0 / steps }, block, settings.Epochs!.Value,
                    _ => { }, token);
                (NeuralOdeClassificationTransformer model, NetworkFigures figures) = ImageTraining.Run(mlContext, digits, options, name);
                using (model)
                {
                    double? memory = Memory(model, images, isOde ? OdeMethod.Midpoint : null, steps, GradientMethod.Checkpointed());
                    double? adjoint = isOde ? Memory(model, images, OdeMethod.Midpoint, steps, GradientMethod.Adjoint()) : null;
                    results.Add(
                        new DepthResult(name, depth, figures.TestAccuracy, figures.Parameters, figures.SecondsPerEpoch, memory, adjoint));
                    display.Line(string.Create(CultureInfo.InvariantCulture,
                        $"depth {depth,3}  {name,-22}  accuracy {figures.TestAccuracy:P2}  {figures.SecondsPerEpoch:F2} s an epoch"));
                    if (block == ConvolutionalBlock.Residual)
                        discrete = Paths(model, images, digits.Test, isOde);
                    else if (isOde)
                        continuous = Paths(model, images, digits.Test, isOde);
                }
            }
        }
        display.Table(Table(results));
        DepthFigure.Create(results, discrete, continuous).SavePng(picture.FullPath);
        display.Line($"Picture: {picture.FullPath}");
        return results;
    }

    private static double? Memory(
        NeuralOdeClassificationTransformer model, Tensor images, OdeMethod? method, int steps, GradientMethod gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        using var parts = new DepthModel(model.Model);
        return parts.Memory(parts.Encode(images), method, steps, gradient);
    }

    /// <summary>How sure the head is of the first images' classes along the depth.</summary>
    private static List<DepthPath> Paths(NeuralOdeClassificationTransformer model, Tensor images, MnistImages test, bool isOde)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using var parts = new DepthModel(model.Model);
        Tensor state = parts.Encode(images.narrow(0, 0, Shown));
        List<Tensor> states = isOde ? [.. parts.Path(state, PathPoints).unbind(0)] : [.. parts.Layers(state)];
        float[][] probabilities = [.. states.Select(s => parts.Decode(s).data<float>().ToArray())];
        double[] depths = [.. Enumerable.Range(0, states.Count).Select(i => (double)i / (states.Count - 1))];
        return [.. Enumerable.Range(0, Shown).Select(i =>
        {
            int digit = test.Labels.Span[i];
            return new DepthPath($"{digit}", depths, [.. probabilities.Select(p => (double)p[i * MnistDataset.ClassCount + digit])]);
        })];
    }

    private static Tensor Images(MnistImages images, int count)
    {
        int rows = Math.Min(count, images.Count);
        var pixels = new float[rows * MnistDataset.ImageSize * MnistDataset.ImageSize];
        for (int i = 0, at = 0; i < rows; i++)
            foreach (byte pixel in images.GetPixels(i))
                pixels[at++] = pixel / 255f;
        return tensor(pixels, [rows, pixels.Length / rows]);
    }

    private static Table Table(IEnumerable<DepthResult> results)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("network");
        foreach (string column in new[] { "depth", "test accuracy", "weights", "s/epoch", "MB", "MB, adjoint" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (DepthResult result in results)
            table.AddRow(
                result.Network, $"{result.Depth}", $"{result.TestAccuracy:P2}", $"{result.Parameters:N0}", $"{result.SecondsPerEpoch:F2}",
                Megabytes(result.MemoryMegabytes), Megabytes(result.AdjointMegabytes));
        return table;

        static string Megabytes(double? value) => value is { } number ? $"{number:F1}" : "–";
    }
}
