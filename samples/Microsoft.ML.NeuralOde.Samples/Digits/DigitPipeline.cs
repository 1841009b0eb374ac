using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.Transforms;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The pipeline from image files to digits.</summary>
internal static class DigitPipeline
{
    public const string Features = "Features";

    /// <summary>Reads the image files and maps the labels to keys; <see cref="Features"/> are 28×28 grey values from 0 to 1.</summary>
    public static EstimatorChain<ValueToKeyMappingTransformer> ReadImages(MLContext mlContext) =>
        mlContext.Transforms.LoadImages("Image", imageFolder: "", inputColumnName: nameof(DigitRow.ImagePath))
            .Append(mlContext.Transforms.ResizeImages("Image", MnistDataset.ImageSize, MnistDataset.ImageSize))
            .Append(mlContext.Transforms.ExtractPixels(
                Features, "Image", ImagePixelExtractingEstimator.ColorBits.Red, scaleImage: 1 / 255f))
            // The digits are given, so that key values and columns of scores are 0 to 9 in this order whatever the rows contain.
            .Append(mlContext.Transforms.Conversion.MapValueToKey(nameof(DigitRow.Label), keyData: AllDigits(mlContext)));

    /// <summary>The whole way: <see cref="ReadImages"/>, the trainer, and back from keys to digits.</summary>
    public static EstimatorChain<KeyToValueMappingTransformer> Create(MLContext mlContext, IEstimator<ITransformer> trainer) =>
        ReadImages(mlContext)
            .AppendCacheCheckpoint(mlContext) // Images are decoded once, not once an epoch.
            .Append(trainer)
            .Append(mlContext.Transforms.Conversion.MapKeyToValue(nameof(DigitPrediction.PredictedLabel)));

    /// <summary>The predictions for rows, in their order.</summary>
    public static IEnumerable<DigitPrediction> Predict(MLContext mlContext, ITransformer model, IEnumerable<DigitRow> rows)
    {
        IDataView scored = model.Transform(mlContext.Data.LoadFromEnumerable(rows));
        return mlContext.Data.CreateEnumerable<DigitPrediction>(scored, reuseRowObject: false);
    }

    private static IDataView AllDigits(MLContext mlContext) =>
        mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, MnistDataset.ClassCount)
            .Select(digit => new DigitKey { Digit = $"{digit}" }));

    private sealed class DigitKey
    {
        public string Digit { get; set; } = "";
    }
}

/// <summary>What the model says about a row.</summary>
internal sealed class DigitPrediction
{
    public string PredictedLabel { get; set; } = "";

    /// <summary>The probability of each digit, 0 to 9.</summary>
    public float[] Score { get; set; } = [];

    public float Probability => Score.Max();

    public bool Equals(DigitPrediction other) =>
        PredictedLabel == other.PredictedLabel && Score.AsSpan().SequenceEqual(other.Score);
}
