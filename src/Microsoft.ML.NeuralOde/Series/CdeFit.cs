using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The training of a network that predicts a label of series.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="prediction">What is predicted.</param>
/// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
internal sealed class CdeFit(IHost host, NeuralCdeTrainerOptions options, LabelPrediction prediction, NeuralCdeModel? initialModel)
    : SupervisedFit<CdeNetwork, SeriesRows>(
        host, options,
        new RowColumns(
            host, options.ToColumns().Values[0], prediction.Label, options.ExampleWeightColumnName)
        { Series = options.ToColumns() },
        prediction, initialModel)
{
    private CdeDescription? _description;
    private SeriesInput? _input;

    /// <summary>The columns of series as they were found.</summary>
    public SeriesInput Input => Begun(_input);

    private CdeDescription Description => Begun(_description);

    protected override string LargeParts =>
        $"Width, BlockSize or HiddenLayers smaller, or the number of channels ({Description.ChannelCount}) or of outputs ({Description.OutputCount})";

    protected override void Begin(DataViewSchema schema)
    {
        _input = Columns.Series!.Find(Host, schema);
        base.Begin(schema);
    }

    protected override void Plan(RowShape shape)
    {
        SolverTolerances production = options.ProductionTolerances;
        _description = new CdeDescription(
            $"{options.Model}", shape.Features, Task.OutputCount, options.Width, options.BlockSize, options.Layers,
            [.. options.HiddenLayers], options.Depth,
            options.Window, $"{options.Path}", options.TimeChannel, options.IntensityChannels, options.Dropout, options.Solver.Name,
            production.Relative, production.Absolute, options.ProductionStepSize ?? options.StepSize, options.Dissipative);
        CheckSize(Description.LeastWeightCount());
    }

    protected override Func<CdeNetwork> Design(TrainingData data, Action<string> warn) =>
        () => new CdeNetwork(Description, options.SolverOptions());

    protected override void Normalize(CdeNetwork network, RowStatistics statistics)
    {
        if (options.Normalization != FeatureNormalization.None)
            network.NormalizeInput(statistics.Features(options.Normalization));
        network.NormalizeTimes(statistics.MeanSpan);
    }

    protected override string? Difference(CdeNetwork own, CdeNetwork other) => own.Description.DifferenceOfStructure(other.Description);

    protected override ITrainable Learner(CdeNetwork network) => new CdeTraining(network, Task, options.Augmentation);

    protected override RowColumns ValidationInputs(DataViewSchema validation, DataViewSchema training)
    {
        // What the training data have, they must have as well: times, and as many channels.
        SeriesColumns series =
            Columns.Series! with { Times = Input.Times?.Name, TimesMayBeMissing = false, ChannelCount = Input.ChannelCount };
        series.Find(Host, validation);
        return Columns with { Series = series };
    }
}
