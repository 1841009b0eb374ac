using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The training of a network on series that predicts a label.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="label">The label.</param>
/// <param name="kind">What the network's outputs mean.</param>
/// <param name="createTask">Makes the task of the label column.</param>
/// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
internal sealed class CdeFit(
    IHost host, NeuralCdeTrainerOptions options, LabelFormat label, OutputKind kind, Func<DataViewSchema.Column, PredictionTask> createTask,
    NeuralCdeModel? initialModel)
    : TrainingRun<CdeNetwork>(
        host, options, new RowColumns(host, options.ToColumns().Values[0], label, options.ExampleWeightColumnName) { Series = options.ToColumns() }),
        IDisposable
{
    private PredictionTask? _task;
    private CdeDescription? _description;
    private SeriesInput? _input;

    /// <summary>The label's column, once the training has begun.</summary>
    public DataViewSchema.Column Label { get; private set; }

    /// <summary>The columns of series as they were found.</summary>
    public SeriesInput Input => _input ?? throw NotBegun();

    private PredictionTask Task => _task ?? throw NotBegun();

    private CdeDescription Description => _description ?? throw NotBegun();

    public void Dispose() => _task?.Dispose();

    protected override void Begin(DataViewSchema schema)
    {
        _input = Columns.Series!.Find(Host, schema);
        Label = label.Find(Host, schema);
        _task = createTask(Label);
    }

    protected override void Plan(RowShape shape)
    {
        SolverTolerances production = options.ProductionTolerances;
        _description = new CdeDescription(
            $"{options.Model}", shape.Features, Task.OutputCount, options.Width, options.BlockSize, options.Layers, [.. options.HiddenLayers], options.Depth,
            options.Window, $"{options.Path}", options.TimeChannel, options.IntensityChannels, options.Dropout, options.Solver.Name,
            production.Relative, production.Absolute, options.ProductionStepSize ?? options.StepSize);
        CheckSize(Description.LeastWeightCount());
    }

    protected override (string Name, string Value)[] Identity() =>
        [("the number of outputs", $"{Task.OutputCount}"), ("the model to begin with", initialModel is null ? "none" : CheckNumberOf(initialModel))];

    protected override Func<CdeNetwork> Design(TrainingData data, Action<string> warn) => () => new CdeNetwork(Description, options.SolverOptions());

    protected override void Prepare(CdeNetwork network, RowStatistics statistics)
    {
        CheckSize(network.parameters().Sum(parameter => parameter.numel()));
        Task.Prepare(statistics, network);
        if (initialModel is not null)
            BeginWith(network, initialModel);
        else
            network.NormalizeInput(
                options.Normalization == FeatureNormalization.None ? null : statistics.Features(options.Normalization), statistics.MeanSpan);
    }

    protected override ITrainable Learner(CdeNetwork network) => new CdeTraining(network, Task);

    /// <summary>The columns of data for validation, whose keys may stand for the same classes in another order.</summary>
    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training)
    {
        // What the training data have, they must have as well: times, and as many channels.
        SeriesColumns series = Columns.Series! with { Times = Input.Times?.Name, TimesMayBeMissing = false, ChannelCount = Input.ChannelCount };
        series.Find(Host, validation);
        DataViewSchema.Column expected = label.Find(Host, training), found = label.Find(Host, validation);
        if (label.Width(expected.Type) != label.Width(found.Type))
            throw Schemas.Mismatch(Host, "validationData", "label", options.LabelColumnName, expected.Type.ToString(), found.Type.ToString());
        Columns.FindWeight(validation);
        return Columns with { Series = series, Label = label is KeyLabel keys ? keys.Matching(expected, found) : label };
    }

    private void BeginWith(CdeNetwork network, NeuralCdeModel initialModel)
    {
        using Scoring.SharedNetwork<CdeNetwork>.Loan loan = initialModel.Borrow();
        string? difference = initialModel.Kind == kind
            ? network.Description.DifferenceOfStructure(loan.Network.Description)
            : "it predicts another kind of label";
        if (difference is not null)
            throw new ArgumentException(
                $"The model to begin with has another structure than this trainer makes: {difference}.", nameof(initialModel));
        // Its statistics stay as well: the weights belong to them.
        network.CopyFrom(loan.Network);
    }

    private static string CheckNumberOf(NeuralCdeModel model)
    {
        var check = new CheckNumber();
        using Scoring.SharedNetwork<CdeNetwork>.Loan loan = model.Borrow();
        foreach (NamedArray array in loan.Network.ToArrays())
            check.Add(array.Values);
        return $"one with check number {check}";
    }

    private void CheckSize(double weights)
    {
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"A network of {weights:F0} weights is larger than a model file can be, which holds {ModelFile.MostWeights}. Make Width, BlockSize "
                + $"or HiddenLayers smaller, or the number of channels ({Description.ChannelCount}) or of outputs ({Description.OutputCount}).");
    }

    private static InvalidOperationException NotBegun() => new("The training has not begun.");
}
