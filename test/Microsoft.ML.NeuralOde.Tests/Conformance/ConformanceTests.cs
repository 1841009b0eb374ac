using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Conformance;

/// <summary>Every estimator of the library is what ML.NET expects of an estimator.</summary>
public sealed class ConformanceTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Multiclass_classification() => Conformance.Check(
        _mlContext, _mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options())),
        Keyed<Row>(300),
        [Keyed<NoFeatures>(20), Keyed<ScalarFeatures>(20), Keyed<DoubleFeatures>(20)], View<Row>(20));

    [Theory]
    [InlineData(ConvolutionalBlock.Ode, 0)]
    [InlineData(ConvolutionalBlock.Ode, 3)]
    [InlineData(ConvolutionalBlock.Residual, 0)]
    [InlineData(ConvolutionalBlock.SharedResidual, 2)]
    [InlineData(ConvolutionalBlock.None, 0)]
    public void Classification_of_images(ConvolutionalBlock block, int augmented) => Conformance.Check(
        _mlContext, _mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
        {
            NumberOfEpochs = 1,
            Network = new ConvolutionalNetwork { Channels = 4, Block = block, ResidualLayers = 2 },
            AugmentedDimensions = augmented,
            LearnAugmentation = augmented == 3,
        }), Images(300), [Keyed<NoFeatures>(20), Keyed<ScalarFeatures>(20), Keyed<DoubleFeatures>(20)],
        ImageData.View(_mlContext, ImageData.Rows(20, ImageData.Colour), 3, 12, 14));

    [Fact]
    public void Binary_classification() => Conformance.Check(
        _mlContext, _mlContext.BinaryClassification.Trainers.NeuralOde(
            Small(new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = "IsLarge" })), View<Row>(300),
        [View<NoFeatures>(20), View<ScalarFeatures>(20), View<DoubleFeatures>(20)], View<NoLabel>(20));

    [Theory]
    [InlineData("Size", DynamicsForm.FirstOrder, 0)]
    [InlineData("Sizes", DynamicsForm.FirstOrder, 0)]
    [InlineData("Size", DynamicsForm.FirstOrder, 2)]
    [InlineData("Size", DynamicsForm.SecondOrder, 0)]
    [InlineData("Size", DynamicsForm.HeavyBall, 1)]
    [InlineData("Sizes", DynamicsForm.Hamiltonian, 0)]
    [InlineData("Size", DynamicsForm.SeparableHamiltonian, 1)]
    public void Regression(string label, DynamicsForm form, int augmented) => Conformance.Check(
        _mlContext, _mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = label,
            DynamicsForm = form,
            AugmentedDimensions = augmented,
            LearnAugmentation = augmented == 1,
        })),
        View<Row>(300),
        [View<NoFeatures>(20), View<ScalarFeatures>(20), View<DoubleFeatures>(20)], View<NoLabel>(20));

    [Fact]
    public void Density() => Conformance.Check(
        _mlContext, _mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
        {
            NumberOfEpochs = 1,
            HiddenLayers = [4],
            BitsPerDimensionColumnName = "Bits",
            LatentColumnName = "Latent",
        }), View<Row>(300), [View<NoFeatures>(20), View<ScalarFeatures>(20), View<DoubleFeatures>(20)]);

    [Fact]
    public void Quantiles_of_a_density()
    {
        IDataView rows = View<Row>(300);
        using ContinuousFlowDensityTransformer density = _mlContext.Transforms.Concatenate("Target", "Size")
            .Append(_mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
            {
                FeatureColumnName = "Target",
                ConditionColumnName = "Features",
                NumberOfEpochs = 1,
                HiddenLayers = [4],
            })).Fit(rows).LastTransformer;
        Conformance.CheckModel(
            _mlContext, _mlContext.Regression.PredictQuantiles(density, [0.1, 0.5, 0.9]), rows,
            [View<NoFeatures>(20), View<ScalarFeatures>(20), View<DoubleFeatures>(20)]);
    }

    [Fact]
    public void Anomaly_detection() => Conformance.Check(
        _mlContext, _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
            new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 1, HiddenLayers = [4] }), View<Row>(300),
        [View<NoFeatures>(20), View<ScalarFeatures>(20), View<DoubleFeatures>(20)]);

    private IDataView Images(int count) => ImageData.Keyed(_mlContext, ImageData.Rows(count, ImageData.Colour), 3, 12, 14);

    private static TOptions Small<TOptions>(TOptions options)
        where TOptions : NeuralOdePredictorOptions
    {
        options.NumberOfEpochs = 1;
        options.EncoderLayers = [4];
        options.DynamicsLayers = [4];
        return options;
    }

    private IDataView View<T>(int count)
        where T : Row, new()
    {
        var random = new Random(2);
        return _mlContext.Data.LoadFromEnumerable(
            Enumerable.Range(0, count).Select(i =>
            {
                float[] features = [random.NextSingle(), random.NextSingle(), random.NextSingle()];
                return new T
                {
                    Features = features,
                    Scalar = features[0],
                    Doubles = Array.ConvertAll(features, x => (double)x),
                    Label = $"class {i % 3}",
                    IsLarge = features[0] > 0.5f,
                    Size = features.Sum(),
                    Sizes = [features[0], features[1]],
                    Text = $"row {i}",
                    Number = i,
                };
            }).ToList(),
            Definition<T>());
    }

    private IDataView Keyed<T>(int count)
        where T : Row, new() => _mlContext.Transforms.Conversion.MapValueToKey("Label").Fit(View<T>(count)).Transform(View<T>(count));

    /// <summary>The columns of a kind of row: all, or all but one, or one of another type.</summary>
    private static SchemaDefinition Definition<T>()
    {
        SchemaDefinition definition = SchemaDefinition.Create(typeof(T));
        if (typeof(T) != typeof(Row) && typeof(T) != typeof(NoLabel))
            definition.Remove(definition["Features"]);
        if (typeof(T) == typeof(ScalarFeatures))
            definition["Scalar"].ColumnName = "Features";
        if (typeof(T) == typeof(DoubleFeatures))
            definition["Doubles"].ColumnName = "Features";
        if (typeof(T) == typeof(NoLabel))
            foreach (string name in new[] { "Label", "IsLarge", "Size", "Sizes" })
                definition.Remove(definition[name]);
        return definition;
    }

    private class Row
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [];

        public float Scalar { get; set; }

        [VectorType(3)]
        public double[] Doubles { get; set; } = [];

        public string Label { get; set; } = "";

        public bool IsLarge { get; set; }

        public float Size { get; set; }

        [VectorType(2)]
        public float[] Sizes { get; set; } = [];

        public string Text { get; set; } = "";

        public long Number { get; set; }
    }

    private sealed class NoFeatures : Row;

    private sealed class ScalarFeatures : Row;

    private sealed class DoubleFeatures : Row;

    private sealed class NoLabel : Row;
}
