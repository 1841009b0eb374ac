using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The command <c>predict</c>: classifies image files with a saved model.</summary>
internal static class PredictCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> model = CommandOptions.Path("--model", "FILE", "A model that 'mnist' has saved.");
        model.Required = true;
        var images = new Argument<string[]>("IMAGE")
        {
            Arity = ArgumentArity.OneOrMore,
            Description = "Image files with a white digit on black, or folders of such files.",
        };

        Option<string?> output = CommandOptions.Copy(), json = CommandOptions.Json("Write the predictions to this file.");
        var command =
            new System.CommandLine.Command("predict", "Classify image files with a saved model.") { model, images, output, json };
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                OutputFile? text = OutputFile.At("--out", result.GetValue(output)),
                    figures = OutputFile.At("--json", result.GetValue(json));
                int code = 0;
                display.Copy(text, view => code = Run(
                    result.GetRequiredValue(model)!, result.GetRequiredValue(images), figures, view, result.InvocationConfiguration.Error,
                    token));
                return code;
            }, token));
        return command;
    }

    /// <returns>0, or 1 where an image could not be read; the others are classified all the same.</returns>
    public static int Run(
        string modelFile, IReadOnlyList<string> paths, OutputFile? json, Display display, TextWriter error,
        CancellationToken cancellationToken)
    {
        var images = new List<(string Path, string? Doubt)>();
        int failed = 0;
        foreach (string path in DigitImage.Find(paths))
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                images.Add((path, DigitImage.Check(path)));
            }
            catch (UserException e)
            {
                error.WriteLine($"Error: {e.Message}");
                failed++;
            }
        }
        List<DigitFigure> figures = images.Count > 0 ? Classify(modelFile, images, display, cancellationToken) : [];
        json?.WriteJson(new { model = modelFile, images = figures }, Format);
        if (failed > 0 && images.Count > 0)
            display.Line($"{failed:N0} of {failed + images.Count:N0} files could not be read.");
        return failed == 0 ? 0 : 1;
    }

    private static List<DigitFigure> Classify(
        string modelFile, List<(string Path, string? Doubt)> images, Display display, CancellationToken cancellationToken)
    {
        var mlContext = new MLContext();
        var figures = new List<DigitFigure>();
        ITransformer model = Load(mlContext, modelFile);
        try
        {
            // The pipeline maps labels to keys, so the column has to be there; the empty label is "missing".
            IEnumerable<DigitRow> rows = images.Select(image => new DigitRow { ImagePath = Path.GetFullPath(image.Path) });
            foreach (((string path, string? doubt), DigitPrediction prediction) in images.Zip(
                DigitPipeline.Predict(mlContext, model, rows)))
            {
                cancellationToken.ThrowIfCancellationRequested();
                display.Line(
                    $"{path}: {prediction.PredictedLabel} ({prediction.Probability:P1}){(doubt is null ? "" : $" – but {doubt}")}");
                figures.Add(new DigitFigure(path, prediction.PredictedLabel, prediction.Probability, doubt));
            }
            return figures;
        }
        finally
        {
            (model as IDisposable)?.Dispose();
        }
    }

    private static ITransformer Load(MLContext mlContext, string modelFile)
    {
        ITransformer model = SavedModel.Load(mlContext, modelFile, out _, remedy: "the command 'mnist' saves one");
        try
        {
            DataViewSchema output = model.GetOutputSchema(mlContext.Data.LoadFromEnumerable<DigitRow>([]).Schema);
            _ = output[nameof(DigitPrediction.Score)];
            _ = output[nameof(DigitPrediction.PredictedLabel)];
            return model;
        }
        catch (ArgumentException e)
        {
            (model as IDisposable)?.Dispose();
            throw new UserException($"--model: '{modelFile}' is not a model that the command 'mnist' has saved: {e.Message}", e);
        }
    }

    /// <summary>What an image was taken for.</summary>
    private sealed record DigitFigure(string Path, string Digit, float Probability, string? Doubt);
}
