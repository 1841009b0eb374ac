using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>The training of a network that predicts a label.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="label">The label.</param>
/// <param name="kind">What the network's outputs mean.</param>
/// <param name="createTask">Makes the task of the label column.</param>
/// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
internal sealed class PredictorFit(
    IHost host, NeuralOdePredictorOptions options, LabelFormat label, OutputKind kind,
    Func<DataViewSchema.Column, PredictionTask> createTask, NeuralOdeModel? initialModel)
    : TrainingRun<NeuralOdeNetwork>(host, options, new RowColumns(host, options.FeatureColumnName, label, options.ExampleWeightColumnName)),
        IDisposable
{
    private PredictionTask? _task;
    private NetworkDescription? _description;
    private IReadOnlyList<int> _dimensions = [];

    /// <summary>The label's column, once the training has begun.</summary>
    public DataViewSchema.Column Label { get; private set; }

    private PredictionTask Task => _task ?? throw new InvalidOperationException("The training has not begun.");

    private NetworkDescription Description => _description ?? throw new InvalidOperationException("The training has not begun.");

    public void Dispose() => _task?.Dispose();

    protected override void Begin(DataViewSchema schema)
    {
        Label = label.Find(Host, schema);
        _task = createTask(Label);
        _dimensions = Dimensions(schema);
    }

    protected override void Plan(RowShape shape)
    {
        _description = Describe(shape.Features, Task.OutputCount);
        CheckSize(Description.WeightCount());
        TorchSeed.Run(0, Description.Probe);
    }

    protected override (string Name, string Value)[] Identity() =>
    [
        ("the number of outputs", $"{Task.OutputCount}"),
        ("the model to begin with", initialModel is null ? "none" : CheckNumberOf(initialModel)),
        // Images of other shapes have weights of the same shapes.
        .. Description is ConvolutionalDescription images ? [("the shape of the images", $"{images.Image}")] : Array.Empty<(string, string)>(),
    ];

    protected override Func<NeuralOdeNetwork> Design(TrainingData data, Action<string> warn) =>
        (Description with { SparseFeatures = data.Rows.Format.IsSparse }).Create;

    // A model to begin with that moves zeros needs all numbers.
    protected override bool TakesSparse => Description.TakesSparse && (initialModel is null || KeepsZeros(initialModel));

    protected override void Prepare(NeuralOdeNetwork network, RowStatistics statistics)
    {
        CheckSize(network.parameters().Sum(parameter => parameter.numel()));
        Task.Prepare(statistics, network);
        if (initialModel is not null)
            BeginWith(network, initialModel);
        else if (options.Normalization != FeatureNormalization.None)
            network.NormalizeInput(statistics.Features(
                Description is ConvolutionalDescription ? FeatureNormalization.Global : options.Normalization));
    }

    protected override ITrainable Learner(NeuralOdeNetwork network) => new PredictorTraining(network, Task, options);

    protected override void Finish(NeuralOdeNetwork network, ITrainingRows rows, int seed, Action<string> warn)
    {
        if (options.SkipSolverCheck || !network.Description.SolvesEquation)
            return;
        // A stream would fill its pool to draw rows in another order.
        int? order = rows is MemoryRows ? Seeds.Order(seed, 0) : null;
        using RowBatch? sample = rows.Batches(SolverCheck.Rows, order).FirstOrDefault();
        if (sample is not null && new SolverCheck(new PredictorTraining(network, Task, options), options).Warning(sample) is { } warning)
            warn(warning);
    }

    /// <summary>The columns of data for validation, whose keys may stand for the same classes in another order.</summary>
    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training)
    {
        DataViewType features = Columns.FindFeatures(training).Type, foundFeatures = Columns.FindFeatures(validation).Type;
        if (((VectorDataViewType)foundFeatures).Size != ((VectorDataViewType)features).Size)
            throw Schemas.Mismatch(Host, "validationData", "feature", options.FeatureColumnName, features.ToString(), foundFeatures.ToString());
        if (options.Network is ConvolutionalNetwork network && ImageColumns.ShapeOf(network, _dimensions, out _) is { } image
            && ImageColumns.Expected(image, Dimensions(validation)) is { } expectedImages)
            throw WrongImages("validationData", expectedImages, Dimensions(validation));
        DataViewSchema.Column expected = label.Find(Host, training), found = label.Find(Host, validation);
        if (label.Width(expected.Type) != label.Width(found.Type))
            throw Schemas.Mismatch(Host, "validationData", "label", options.LabelColumnName, expected.Type.ToString(), found.Type.ToString());
        Columns.FindWeight(validation);
        return label is KeyLabel keys ? Columns with { Label = keys.Matching(expected, found) } : Columns;
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
            isEquation ? options.EndTime : 1, isEquation ? options.Solver.Name : OdeMethod.Euler.Name, production.Relative, production.Absolute,
            isEquation ? options.ProductionStepSize ?? options.StepSize : 1);
    }

    private Exception WrongImages(string parameter, string expected, IReadOnlyList<int> found) =>
        Schemas.Mismatch(Host, parameter, "feature", options.FeatureColumnName, expected, $"Vector<Single, {string.Join(", ", found)}>");

    private IReadOnlyList<int> Dimensions(DataViewSchema schema) => [.. ((VectorDataViewType)Columns.FindFeatures(schema).Type).Dimensions];

    private void BeginWith(NeuralOdeNetwork network, NeuralOdeModel initialModel)
    {
        using Scoring.SharedNetwork<NeuralOdeNetwork>.Loan loan = initialModel.Borrow();
        string? difference = initialModel.Kind == kind
            ? network.Description.DifferenceOfStructure(loan.Network.Description)
            : "it predicts another kind of label";
        if (difference is not null)
            throw new ArgumentException(
                $"The model to begin with has another structure than this trainer makes: {difference}.", nameof(initialModel));
        // Its statistics stay as well: the weights belong to them.
        network.CopyFrom(loan.Network);
    }

    private static bool KeepsZeros(NeuralOdeModel model)
    {
        using Scoring.SharedNetwork<NeuralOdeNetwork>.Loan loan = model.Borrow();
        return loan.Network.KeepsZeros;
    }

    private static string CheckNumberOf(NeuralOdeModel model)
    {
        var check = new CheckNumber();
        using Scoring.SharedNetwork<NeuralOdeNetwork>.Loan loan = model.Borrow();
        foreach (NamedArray array in loan.Network.ToArrays())
            check.Add(array.Values);
        return $"one with check number {check}";
    }

    private void CheckSize(long weights)
    {
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"A network of {weights} weights is larger than a model file can be, which holds {ModelFile.MostWeights}. Make " +
                $"{(options.Network is null ? "EncoderLayers or DynamicsLayers" : "the channels or the layers of Network")} smaller, or the number of "
                + $"features ({Description.FeatureCount}) or of outputs ({Description.OutputCount}).");
    }
}
