using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>A network that can be trained and kept: its weights move between devices and arrays.</summary>
internal interface ITrainedNetwork : IDisposable
{
    void MoveTo(Device device);
}

/// <summary>A network that was fitted, and what there is to know about its input and its training.</summary>
/// <param name="Network">The network, on the processor.</param>
/// <param name="FeatureType">The type of the feature column.</param>
/// <param name="History">What happened in each epoch.</param>
internal sealed record FittedNetwork<TNetwork>(
    TNetwork Network, VectorDataViewType FeatureType, IReadOnlyList<NeuralOdeEpochReport> History)
{
    /// <summary>The dimensions of the feature column's vectors.</summary>
    public int[] FeatureDimensions => [.. FeatureType.Dimensions];
}

/// <summary>
/// From rows to a trained network, the same way for all trainers: columns are checked, data are read, a checkpoint is looked for, the
/// network is made of its seed and trained where the <see cref="MLContext"/> says. A family of trainers says what is made and how it
/// learns. One object serves one run.
/// </summary>
internal abstract class TrainingRun<TNetwork>(IHost host, NeuralOdeTrainerOptions options, RowColumns columns)
    where TNetwork : class, ITrainedNetwork
{
    protected IHost Host => host;

    /// <summary>The columns that are read.</summary>
    protected RowColumns Columns => columns;

    /// <summary>Checks the columns that are read.</summary>
    /// <returns>The label's column; null where there is none.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape.Column? CheckSchema(SchemaShape schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        columns.CheckInputs(schema);
        if (columns.WeightColumn is { } weight)
            Schemas.CheckWeight(host, schema, weight);
        return columns.Label?.Find(host, schema);
    }

    /// <summary>Trains a network.</summary>
    /// <param name="input">The training data.</param>
    /// <param name="validation">Data for validation; null for what the options say.</param>
    public FittedNetwork<TNetwork> Run(IDataView input, IDataView? validation)
    {
        ArgumentNullException.ThrowIfNull(input);
        using Team? team = Team.Begin(options.Distributed);
        try
        {
            return Run(input, validation, team);
        }
        catch (Exception exception) when (team is not null)
        {
            team.Fail(exception);
            throw;
        }
    }

    private FittedNetwork<TNetwork> Run(IDataView input, IDataView? validation, Team? team)
    {
        TorchRuntime.EnsureAvailable();
        CheckSchema(Schemas.ShapeOf(input.Schema));
        using IChannel channel = host.Start("Training");
        // What there is to say is the same for all processes.
        bool speaks = team?.IsFirst != false;
        Action<string> info = speaks ? channel.Info : _ => { }, warn = speaks ? channel.Warning : _ => { };
        Device device = TrainingDevice.Choose(host, warn);
        validation ??= options.ValidationSet;
        Begin(input.Schema);
        (IDataView, RowColumns)? validated = validation is null ? null : (validation, ValidationColumns(validation.Schema, input.Schema));
        Plan(columns.ShapeIn(input.Schema));
        int drawn = host.Rand.Next();
        var surroundings = new TrainingSurroundings(Report, ReportBatches, info, warn, CheckAlive, team);
        using CheckpointStore? checkpoints = speaks ? CheckpointStore.Open(options) : null;
        using TrainingData data = TrainingData.Load(
            options, (input, columns with { TakesSparse = TakesSparse }), validated, checkpoints, drawn, surroundings, Identity());
        Func<TNetwork> create = Design(data, warn);
        TNetwork network = TorchSeed.Run(Seeds.Weights(data.Seed), create);
        try
        {
            Prepare(network, data.Rows.Statistics);
            network.MoveTo(device);
            using ITrainingRows here = data.Rows.MoveTo(device);
            using var loop =
                new TrainingLoop(Learner(network), Epochs(here), data.Validation, options.Plan(data.Seed, checkpoints), surroundings);
            IReadOnlyList<NeuralOdeEpochReport> history = loop.Run();
            Finish(network, here, data.Seed, warn);
            network.MoveTo(CPU);
            return new FittedNetwork<TNetwork>(network, (VectorDataViewType)columns.FindInputs(input.Schema)[0].Type, history);
        }
        catch
        {
            network.Dispose();
            throw;
        }

        void Report(NeuralOdeEpochReport report)
        {
            if (!speaks)
                return;
            channel.Info(report.ToString());
            options.EpochCallback?.Invoke(report);
        }

        void ReportBatches(NeuralOdeBatchReport report)
        {
            if (speaks)
                options.BatchCallback?.Invoke(report);
        }
    }

    /// <summary>Whether what is trained takes rows without their zeros; asked after <see cref="Plan"/>.</summary>
    protected virtual bool TakesSparse => false;

    /// <summary>Looks at the columns of the training data.</summary>
    protected virtual void Begin(DataViewSchema schema)
    {
    }

    /// <summary>The columns of data for validation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not suit those of the training data.</exception>
    protected abstract RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training);

    /// <summary>Looks, before data are read, whether a network for rows of a shape can be made.</summary>
    protected virtual void Plan(RowShape shape)
    {
    }

    /// <summary>What the training is known by, beside its options and its data.</summary>
    protected abstract (string Name, string Value)[] Identity();

    /// <summary>Decides on a network when the data are read.</summary>
    /// <returns>Makes the network with random weights.</returns>
    protected abstract Func<TNetwork> Design(TrainingData data, Action<string> warn);

    /// <summary>Gives the network what it is to know of the data before it learns.</summary>
    protected abstract void Prepare(TNetwork network, RowStatistics statistics);

    /// <summary>How the network learns.</summary>
    protected abstract ITrainable Learner(TNetwork network);

    /// <summary>The rows of an epoch.</summary>
    protected virtual ITrainingRows Epochs(ITrainingRows rows) => rows;

    /// <summary>Does what remains to be done while network and rows are on the training's device.</summary>
    protected virtual void Finish(TNetwork network, ITrainingRows rows, int seed, Action<string> warn)
    {
    }

    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    protected void CheckAlive()
    {
        options.CancellationToken.ThrowIfCancellationRequested();
        host.CheckAlive();
    }
}
