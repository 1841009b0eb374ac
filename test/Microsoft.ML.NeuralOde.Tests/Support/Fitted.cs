using Microsoft.ML.Data;
using Microsoft.ML.Transforms;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A small pipeline, fitted to <see cref="Blobs"/>.</summary>
internal static class Fitted
{
    public static NeuralOdeClassificationTrainer.Options Options(Action<NeuralOdeClassificationTrainer.Options>? change = null)
    {
        var options = new NeuralOdeClassificationTrainer.Options
        {
            NumberOfEpochs = 8,
            BatchSize = 32,
            LearningRate = 0.02,
            LearningRateSchedule = LearningRateSchedule.Constant,
            EncoderLayers = [8],
            DynamicsLayers = [8],
        };
        change?.Invoke(options);
        return options;
    }

    public static EstimatorChain<KeyToValueMappingTransformer> Pipeline(
        MLContext mlContext, NeuralOdeClassificationTrainer.Options? options = null) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(options ?? Options()))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));

    public static TransformerChain<KeyToValueMappingTransformer> Model(
        MLContext mlContext, NeuralOdeClassificationTrainer.Options? options = null) =>
        Pipeline(mlContext, options).Fit(Blobs.View(mlContext, Blobs.Rows(240)));

    public static List<PointPrediction> Predict(MLContext mlContext, ITransformer model, IEnumerable<Point> rows) =>
        [.. mlContext.Data.CreateEnumerable<PointPrediction>(model.Transform(Blobs.View(mlContext, rows)), reuseRowObject: false)];

    public static NeuralOdeClassificationTransformer NeuralOde(this TransformerChain<KeyToValueMappingTransformer> chain) =>
        chain.OfType<NeuralOdeClassificationTransformer>().Single();
}
