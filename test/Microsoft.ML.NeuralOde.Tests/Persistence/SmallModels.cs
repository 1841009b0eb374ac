using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Tests.Forecasting;
using Microsoft.ML.NeuralOde.Tests.Series;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>A small model of each kind, for files.</summary>
internal static class SmallModels
{
    public static readonly string[] Kinds = ["multiclass", "binary", "regression", "regression-vector", "density", "anomaly", "images", "images-augmented", "second-order"];

    /// <summary>Kinds that no independent program computes yet, for files that are damaged or forged.</summary>
    public static readonly string[] SeriesKinds = ["series-classes", "series-number", "forecast", "forecast-exogenous"];

    /// <summary>Both.</summary>
    public static readonly string[] AllKinds = [.. Kinds, .. SeriesKinds];

    private static readonly SolverTolerances Tight = new(1e-6, 1e-7);

    /// <summary>The name of the file of a kind in the current format.</summary>
    public static string FileName(string kind) => $"{kind}-v{PayloadReader.FormatVersion}.zip";

    private static readonly ImageShape Image = new(1, 6, 6);

    /// <summary>A row of as many numbers, the same in every test and in scores.py.</summary>
    public static float[] Point(int features) => [.. Enumerable.Range(0, features).Select(i => i % 2 == 0 ? 0.5f : -1.25f)];

    /// <summary>The point as an image.</summary>
    public static IDataView ImagePoint(MLContext mlContext) =>
        Images(mlContext, [new ImageRow { Label = "lying", Features = Point((int)Image.Size) }]);

    /// <summary>A model and the data that it was fitted to.</summary>
    public static (ITransformer Model, IDataView Data) Fit(MLContext mlContext, string kind)
    {
        if (SeriesKinds.Contains(kind))
            return FitSeries(mlContext, kind);
        IDataView data = kind == "multiclass" ? Blobs.View(mlContext, Blobs.Rows(60))
            : kind.StartsWith("images", StringComparison.Ordinal) ? Images(mlContext, ImageData.Rows(60, Image))
            : TabularData.View(mlContext, TabularData.Circle(60));
        IEstimator<ITransformer> trainer = kind switch
        {
            "multiclass" => Fitted.Pipeline(mlContext, Fitted.Options(o => o.NumberOfEpochs = 2)),
            "binary" => mlContext.BinaryClassification.Trainers.NeuralOde(Small(new NeuralOdeBinaryClassificationTrainer.Options())),
            "regression" =>
            mlContext.Regression.Trainers.NeuralOde(
                Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target", Solver = OdeMethod.Rk4, StepSize = 0.05 })),
            "regression-vector" =>
            mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Targets" })),
            "images" => mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options
            {
                Network = new ConvolutionalNetwork { Channels = 4 },
            })),
            "images-augmented" => mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options
            {
                Network = new ConvolutionalNetwork { Channels = 4, Block = ConvolutionalBlock.SharedResidual, ResidualLayers = 3 },
                AugmentedDimensions = 2,
                LearnAugmentation = true,
            })),
            "second-order" => mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options
            {
                LabelColumnName = "Target",
                DynamicsForm = DynamicsForm.SecondOrder,
                AugmentedDimensions = 1,
                LearnAugmentation = true,
            })),
            "density" => mlContext.Transforms.ContinuousFlowDensity(SmallFlow(new ContinuousFlowDensityEstimator.Options
            {
                ConditionColumnName = "Target",
                Blocks = 2,
                BitsPerDimensionColumnName = "BitsPerDimension",
                LatentColumnName = "Latent",
            })),
            _ => mlContext.AnomalyDetection.Trainers.ContinuousFlow(
                SmallFlow(new ContinuousFlowAnomalyTrainer.Options { EnsembleSize = 2 })),
        };
        return (trainer.Fit(data), data);
    }

    private static (ITransformer Model, IDataView Data) FitSeries(MLContext mlContext, string kind)
    {
        if (kind.StartsWith("forecast", StringComparison.Ordinal))
        {
            LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(new LatentOdeForecastingTrainer.Options { Horizon = 2 });
            if (kind == "forecast-exogenous")
                (options.TimeColumnName, options.ExogenousColumnNames) = ("Time", ["Holiday"]);
            IDataView observations = mlContext.Data.LoadFromEnumerable(ForecastingTests.Noisy(60, 2)
                .Select((value, i) => new Observation { Time = i, Value = value, Holiday = i % 5 }).ToArray());
            return (mlContext.Forecasting.LatentOde(options).Fit(observations), observations);
        }
        IDataView lines = SeriesData.Keyed(mlContext, SeriesData.Lines(40));
        IEstimator<ITransformer> trainer = kind == "series-classes"
            ? mlContext.MulticlassClassification.Trainers.NeuralCde(SeriesData.Small(new NeuralCdeClassificationTrainer.Options()))
            : mlContext.Regression.Trainers.NeuralCde(
                SeriesData.Small(new NeuralCdeRegressionTrainer.Options { LabelColumnName = "Slope" }));
        return (trainer.Fit(lines), lines);
    }

    private static IDataView Images(MLContext mlContext, IEnumerable<ImageRow> rows) =>
        ImageData.Keyed(mlContext, rows, Image.Channels, Image.Height, Image.Width);

    private static TOptions Small<TOptions>(TOptions options)
        where TOptions : NeuralOdePredictorOptions
    {
        options.NumberOfEpochs = 2;
        options.EncoderLayers = [5, 4];
        options.DynamicsLayers = [6];
        options.Normalization = FeatureNormalization.PerSlot;
        options.ProductionTolerances = Tight;
        options.Seed = 1;
        return options;
    }

    private static TOptions SmallFlow<TOptions>(TOptions options)
        where TOptions : ContinuousFlowTrainerOptions
    {
        options.NumberOfEpochs = 2;
        options.BatchesPerEpoch = 10;
        options.HiddenLayers = [6, 5];
        options.Seed = 1;
        return options;
    }

    private sealed class Observation
    {
        public float Time { get; set; }

        public float Value { get; set; }

        public float Holiday { get; set; }
    }
}
