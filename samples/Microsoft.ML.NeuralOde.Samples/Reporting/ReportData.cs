using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>Rows that a model is judged by.</summary>
/// <param name="Origin">Where they come from, in words.</param>
/// <param name="Rows">The rows as the step of this library reads them.</param>
internal sealed record ReportData(string Origin, IDataView Rows)
{
    /// <summary>Opens a file that suits a model: a data view of ML.NET, series, or a table with a header; or a folder with MNIST's
    /// files.</summary>
    /// <exception cref="UserException">There is nothing of that name, or the model reads something else.</exception>
    public static ReportData Open(MLContext mlContext, SavedModel model, string path, int rows)
    {
        if (Directory.Exists(path))
        {
            var mnist = MnistDataset.Load(path);
            return OfDigits(mlContext, model, new DigitData("", path, mnist.Train, mnist.Test), rows);
        }
        if (!File.Exists(path))
            throw new UserException($"--data: there is no file or folder '{path}'.");
        try
        {
            IDataView all = Path.GetExtension(path).ToLowerInvariant() switch
            {
                ".idv" => mlContext.Data.LoadFromBinary(path),
                ".ts" => mlContext.Data.LoadFromTsFile(path),
                _ => TableFile.Open(mlContext, path, model),
            };
            IDataView ready = model.Before.Transform(mlContext.Data.TakeRows(all, rows));
            model.Step.GetOutputSchema(ready.Schema); // Says which column is missing.
            return new ReportData(path, ready);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or FormatException)
        {
            throw new UserException($"--data: '{path}' does not suit the model: {e.Message}", e);
        }
    }

    /// <summary>The test images of digits, straight to the step of this library: as pixels from 0 to 1.</summary>
    /// <exception cref="UserException">The model reads something else.</exception>
    public static ReportData OfDigits(MLContext mlContext, SavedModel model, DigitData digits, int rows)
    {
        if (model.Step is not NeuralOdeClassificationTransformer { Model.FeatureCount: MnistDataset.ImageSize * MnistDataset.ImageSize } step)
            throw new UserException(
                $"--data: '{model.File}' reads no images of {MnistDataset.ImageSize} × {MnistDataset.ImageSize} pixels; a file with the columns that it reads would be right.");
        IDataView images = digits.Test.Take(rows).ToDataView(mlContext);
        IDataView named = step.FeatureColumnName == "Features" ? images
            : mlContext.Transforms.CopyColumns(step.FeatureColumnName, "Features").Fit(images).Transform(images);
        return new ReportData($"{digits.Test.Take(rows).Count:N0} test images, {digits.Origin}", named);
    }
}
