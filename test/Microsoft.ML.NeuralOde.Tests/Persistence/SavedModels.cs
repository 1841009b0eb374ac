using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>A small sealed model of each kind, and what it says about a point.</summary>
public sealed class SavedModels
{
    private static readonly float[] Point = [0.5f, -1.25f];

    public SavedModels()
    {
        var mlContext = new MLContext(1);
        IDataView data = Blobs.View(mlContext, Blobs.Rows(30));
        IDataView targets = mlContext.Data.LoadFromEnumerable(Blobs.Rows(30).Select(point =>
            new Target { Features = point.Features, IsRed = point.Label == "red", Sum = point.Features.Sum() }));
        ITransformer[] models =
        [
            Fitted.Pipeline(mlContext, Fitted.Options(o => o.NumberOfEpochs = 1)).Fit(data),
            mlContext.BinaryClassification.Trainers.NeuralOde(Small(new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = "IsRed" })).Fit(targets),
            mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Sum" })).Fit(targets),
            mlContext.Transforms.NormalizeMeanVariance("Features").Append(mlContext.Transforms.ContinuousFlowDensity(
                SmallFlow(new ContinuousFlowDensityEstimator.Options()))).Fit(data),
            mlContext.AnomalyDetection.Trainers.ContinuousFlow(SmallFlow(new ContinuousFlowAnomalyTrainer.Options())).Fit(data),
        ];
        Archives = new byte[models.Length][];
        Seals = new string[models.Length];
        for (int i = 0; i < models.Length; i++)
        {
            using var stream = new MemoryStream();
            Seals[i] = mlContext.Model.SaveSealed(models[i], data.Schema, stream);
            Archives[i] = stream.ToArray();
            (models[i] as IDisposable)?.Dispose();
        }
        Scores = [.. Archives.Select(archive => Score(Load(archive)))];
    }

    internal byte[][] Archives { get; }

    internal string[] Seals { get; }

    internal float[][] Scores { get; }

    internal static ITransformer Load(byte[] archive, SealedModelOptions? options = null) => new MLContext(1).Model.LoadSealed(new MemoryStream(archive), out _, options);

    /// <summary>What a model of this library, alone or in a pipeline, says about the point. Disposes of it.</summary>
    internal static float[] Score(ITransformer model)
    {
        using (model as IDisposable)
            foreach (ITransformer step in model as IEnumerable<ITransformer> ?? [model])
                switch (step)
                {
                    case NeuralOdeTransformer predictor:
                        var scores = new float[predictor.Model.OutputCount];
                        predictor.Model.Score(Point, 1, scores);
                        return scores;
                    case ContinuousFlowTransformer flow:
                        return flow.Model.LogDensity(Point);
                }
        throw new InvalidOperationException("The pipeline has no model of this library.");
    }

    private static TOptions Small<TOptions>(TOptions options)
        where TOptions : NeuralOdePredictorOptions
    {
        options.NumberOfEpochs = 1;
        options.EncoderLayers = [4];
        options.DynamicsLayers = [4];
        return options;
    }

    private static TOptions SmallFlow<TOptions>(TOptions options)
        where TOptions : ContinuousFlowTrainerOptions
    {
        options.NumberOfEpochs = 1;
        options.HiddenLayers = [4];
        return options;
    }

    private sealed class Target
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public bool IsRed { get; set; }

        public float Sum { get; set; }
    }
}
