using System.Diagnostics;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>Trains networks on images and measures them.</summary>
internal static class ImageTraining
{
    public static NeuralOdeClassificationTrainer.Options Options(
        ImageSettings settings, ConvolutionalBlock block, int epochs, Action<NeuralOdeEpochReport> onEpoch,
        CancellationToken cancellationToken) => new()
        {
            Network = new ConvolutionalNetwork
            {
                Channels = settings.Channels,
                Block = block,
                ResidualLayers = settings.Layers,
                Augmentation = new ImageAugmentation { Shift = settings.Shift, Rotation = settings.Rotation },
            },
            NumberOfEpochs = epochs,
            BatchSize = settings.BatchSize,
            LearningRate = settings.LearningRate,
            Solver = settings.Solver,
            StepSize = settings.StepSize > 0 ? settings.StepSize : null,
            Normalization = FeatureNormalization.Global,
            Seed = settings.Seed,
            CheckpointFolder = settings.Checkpoint,
            EpochCallback = onEpoch,
            CancellationToken = cancellationToken,
        };

    /// <summary>Trains a network and measures it on the test images; the model is the caller's.</summary>
    public static (NeuralOdeClassificationTransformer Model, NetworkFigures Figures) Run(
        MLContext mlContext, DigitData data, NeuralOdeClassificationTrainer.Options options, string name)
    {
        NeuralOdeClassificationTransformer model = mlContext.MulticlassClassification.Trainers.NeuralOde(options)
            .Fit(data.Train.ToDataView(mlContext));
        IDataView test = mlContext.Data.Cache(data.Test.ToDataView(mlContext));
        MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(test));
        long started = Stopwatch.GetTimestamp();
        int rows = model.Transform(test).GetColumn<float[]>(options.ScoreColumnName).Count();
        double scoring = Stopwatch.GetElapsedTime(started).TotalSeconds;
        IReadOnlyList<NeuralOdeEpochReport> history = model.TrainingHistory;
        return (model, new NetworkFigures
        {
            Network = name,
            TestAccuracy = metrics.MicroAccuracy,
            LogLoss = metrics.LogLoss,
            SecondsPerEpoch = history.Average(epoch => epoch.Seconds),
            Parameters = model.Model.ParameterCount,
            EvaluationsPerBatch = history.Average(epoch => epoch.NfeForward),
            ImagesPerSecond = rows / scoring,
            Epochs = history.Count,
        });
    }
}
