using System.CommandLine;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The command <c>predict</c>: classifies image files with a saved model.</summary>
internal static class PredictCommand
{
    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> model = CommandOptions.Path("--model", "FILE", "A model that 'mnist' has saved.");
        model.Required = true;
        var images = new Argument<string[]>("IMAGE")
        {
            Arity = ArgumentArity.OneOrMore,
            Description = "Image files with a white digit on black.",
        };

        var command = new System.CommandLine.Command("predict", "Classify image files with a saved model.") { model, images };
        command.SetAction(result => Run(result.GetRequiredValue(model)!, result.GetRequiredValue(images), display));
        return command;
    }

    public static void Run(string modelFile, IReadOnlyList<string> images, Display display)
    {
        foreach (string image in images)
            EnsureReadable(image);

        var mlContext = new MLContext();
        ITransformer model = Load(mlContext, modelFile);
        try
        {
            // The pipeline maps labels to keys, so the column has to be there; the empty label is "missing".
            DigitRow[] rows = [.. images.Select(image => new DigitRow { ImagePath = Path.GetFullPath(image) })];
            DigitPrediction[] predictions = DigitPipeline.Predict(mlContext, model, rows);
            for (int i = 0; i < images.Count; i++)
                display.Line($"{images[i]}: {predictions[i].PredictedLabel} ({predictions[i].Probability:P1})");
        }
        finally
        {
            (model as IDisposable)?.Dispose();
        }
    }

    private static ITransformer Load(MLContext mlContext, string modelFile)
    {
        if (!File.Exists(modelFile))
            throw new UserException($"--model: there is no file '{modelFile}'; the command 'mnist' saves one.");
        ITransformer model;
        try
        {
            model = mlContext.Model.LoadSealed(modelFile, out _);
        }
        catch (InvalidDataException e)
        {
            throw new UserException($"--model: '{modelFile}' is not a model that can be loaded: {e.Message}", e);
        }

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

    /// <summary>ML.NET turns an image that cannot be read into a black one without a word, so it is read here first.</summary>
    private static void EnsureReadable(string path)
    {
        if (!File.Exists(path))
            throw new UserException($"There is no image '{path}'.");
        try
        {
            using var image = MLImage.CreateFromFile(path);
            if (image is { Width: > 0, Height: > 0 })
                return;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or NullReferenceException)
        {
            // Falls through to the message below: the image library says nothing useful.
        }
        throw new UserException($"'{path}' is not an image that can be read; PNG, JPEG, BMP, GIF or WebP would be right.");
    }
}
