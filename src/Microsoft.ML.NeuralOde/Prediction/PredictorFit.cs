using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>The training of a network that predicts a label of a vector of features.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="prediction">What is predicted.</param>
/// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
internal sealed class PredictorFit(IHost host, NeuralOdePredictorOptions options, LabelPrediction prediction, NeuralOdeModel? initialModel)
    : SupervisedFit<NeuralOdeNetwork, Tensor>(
        host, options, new RowColumns(host, options.FeatureColumnName, prediction.Label, options.ExampleWeightColumnName),
        prediction, initialModel)
{
    private NetworkDescription? _description;
    private IReadOnlyList<int> _dimensions = [];

    private NetworkDescription Description => Begun(_description);

    protected override string LargeParts =>
        $"{(options.Network is null ? "EncoderLayers or DynamicsLayers" : "the channels or the layers of Network, or AugmentedDimensions")} smaller, or the number of "
        + $"features ({Description.FeatureCount}) or of outputs ({Description.OutputCount})";

    protected override void Begin(DataViewSchema schema)
    {
        base.Begin(schema);
        _dimensions = Dimensions(schema);
    }

    protected override void Plan(RowShape shape)
    {
        _description = Describe(shape.Features, Task.OutputCount);
        CheckSize(Description.WeightCount());
        TorchSeed.Run(0, Description.Probe);
    }

    // Images of other shapes have weights of the same shapes.
    protected override (string Name, string Value)[] Identity() => Description is ConvolutionalDescription images
        ? [.. base.Identity(), ("the shape of the images", $"{images.Image}")]
        : base.Identity();

    protected override Func<NeuralOdeNetwork> Design(TrainingData data, Action<string> warn) =>
        (Description with { SparseFeatures = data.Rows.Format.IsSparse }).Create;

    // A model to begin with that moves zeros needs all numbers.
    protected override bool TakesSparse => Description.TakesSparse && (initialModel is null || KeepsZeros(initialModel));

    protected override void Normalize(NeuralOdeNetwork network, RowStatistics statistics)
    {
        if (options.Normalization != FeatureNormalization.None)
            network.NormalizeInput(statistics.Features(
                Description is ConvolutionalDescription ? FeatureNormalization.Global : options.Normalization));
    }

    protected override string? Difference(NeuralOdeNetwork own, NeuralOdeNetwork other) =>
        own.Description.DifferenceOfStructure(other.Description);

    protected override ITrainable Learner(NeuralOdeNetwork network) => new PredictorTraining(network, Task, options);

    protected override void Finish(NeuralOdeNetwork network, ITrainingRows rows, int seed, Action<string> warn)
    {
        if (options.SkipSolverCheck || !network.Description.SolvesEquation)
            return;
        // A stream would fill its pool to draw rows in another order.
        int? order = rows is MemoryRows ? Seeds.Order(seed, 0) : null;
        using RowBatch? sample = rows.Batches(SolverCheck.Rows, order).FirstOrDefault();
        if (sample is { IsStandIn: false }
            && new SolverCheck(new PredictorTraining(network, Task, options), options).Warning(sample) is { } warning)
            warn(warning);
    }

    protected override RowColumns ValidationInputs(DataViewSchema validation, DataViewSchema training)
    {
        DataViewType features = Columns.FindFeatures(training).Type, foundFeatures = Columns.FindFeatures(validation).Type;
        if (((VectorDataViewType)foundFeatures).Size != ((VectorDataViewType)features).Size)
            throw Schemas.Mismatch(
                Host, "validationData", "feature", options.FeatureColumnName, features.ToString(), foundFeatures.ToString());
        if (options.Network is ConvolutionalNetwork network && ImageColumns.ShapeOf(network, _dimensions, out _) is { } image
            && ImageColumns.Expected(image, Dimensions(validation)) is { } expectedImages)
            throw WrongImages("validationData", expectedImages, Dimensions(validation));
        return Columns;
    }

    /// <summary>The kind of network that the options ask for.</summary>
    private NetworkDescription Describe(int features, int outputs)
    {
        SolverTolerances production = options.ProductionTolerances;
        double? step = options.ProductionStepSize ?? options.StepSize;
        if (options.Network is ConvolutionalNetwork images)
            return DescribeImages(images, features, outputs);
        return options.Dynamics is { } dynamics
            ? new ModuleDescription(features, outputs, [.. options.EncoderLayers], dynamics.Name, options.EndTime, options.Solver.Name,
                production.Relative, production.Absolute, step)
            {
                Source = dynamics,
                AugmentedDimensions = options.AugmentedDimensions,
                LearnsAugmentation = options.LearnAugmentation,
            }
            : new DenseDescription(
                features, outputs, [.. options.EncoderLayers], [.. options.DynamicsLayers], options.EndTime, options.Solver.Name,
                production.Relative, production.Absolute, step)
            {
                AugmentedDimensions = options.AugmentedDimensions,
                LearnsAugmentation = options.LearnAugmentation,
                Form = DenseDescription.TextOf(options.DynamicsForm),
            };
    }

    private ConvolutionalDescription DescribeImages(ConvolutionalNetwork network, int features, int outputs)
    {
        ImageShape image = ImageColumns.ShapeOf(network, _dimensions, out string? expected)
            ?? throw WrongImages("inputSchema", expected!, _dimensions);
        bool isEquation = network.Block == ConvolutionalBlock.Ode;
        SolverTolerances production = options.ProductionTolerances;
        return new ConvolutionalDescription(
            features, outputs, image, network.Channels, network.Block.ToString(), network.IsDiscrete ? network.ResidualLayers : 0,
            isEquation ? options.EndTime : 1, isEquation ? options.Solver.Name : OdeMethod.Euler.Name, production.Relative,
            production.Absolute,
            isEquation ? options.ProductionStepSize ?? options.StepSize : 1)
        {
            AugmentedDimensions = options.AugmentedDimensions,
            LearnsAugmentation = options.LearnAugmentation,
        }.WithGroups();
    }

    private Exception WrongImages(string parameter, string expected, IReadOnlyList<int> found) =>
        Schemas.Mismatch(Host, parameter, "feature", options.FeatureColumnName, expected, $"Vector<Single, {string.Join(", ", found)}>");

    private IReadOnlyList<int> Dimensions(DataViewSchema schema) => [.. ((VectorDataViewType)Columns.FindFeatures(schema).Type).Dimensions];

    private static bool KeepsZeros(NeuralOdeModel model)
    {
        using Scoring.SharedNetwork<NeuralOdeNetwork>.Loan loan = model.Borrow();
        return loan.Network.KeepsZeros;
    }
}
