using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>A network that was fitted, and what there is to know about its input and its training.</summary>
internal sealed record FittedNetwork(NeuralOdeNetwork Network, DataViewType FeatureType, DataViewSchema.Column Label, IReadOnlyList<NeuralOdeEpochReport> History);

/// <summary>From rows to a trained network: what the trainers of all labels share.</summary>
internal sealed class PredictorFit(IHost host, NeuralOdePredictorOptions options, LabelFormat label, OutputKind kind)
{
    private readonly RowColumns _columns = new(host, options.FeatureColumnName, label, options.ExampleWeightColumnName);

    /// <summary>Checks the columns that are read.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public static SchemaShape.Column CheckSchema(IHost host, SchemaShape schema, NeuralOdePredictorOptions options, LabelFormat label)
    {
        ArgumentNullException.ThrowIfNull(schema);
        Schemas.CheckFeatures(host, schema, options.FeatureColumnName);
        if (options.ExampleWeightColumnName is { } weight)
            Schemas.CheckWeight(host, schema, weight);
        return label.Find(host, schema);
    }

    /// <summary>Trains a network.</summary>
    /// <param name="createTask">Makes the task of the label column.</param>
    /// <param name="input">The training data.</param>
    /// <param name="validation">Data for validation; null for what the options say.</param>
    /// <param name="initialModel">The model whose weights the training begins with; null for random ones.</param>
    public FittedNetwork Run(Func<DataViewSchema.Column, PredictionTask> createTask, IDataView input, IDataView? validation, NeuralOdeModel? initialModel)
    {
        ArgumentNullException.ThrowIfNull(input);
        TorchRuntime.EnsureAvailable();
        CheckSchema(host, Schemas.ShapeOf(input.Schema), options, label);
        using IChannel channel = host.Start("Training");
        Device device = TrainingDevice.Choose(host, channel.Warning);
        DataViewSchema.Column labelColumn = label.Find(host, input.Schema);
        using PredictionTask task = createTask(labelColumn);
        // A model to begin with that moves zeros needs all numbers.
        RowColumns columns = _columns with { TakesSparse = options.EncoderLayers.Length > 0 && (initialModel is null || KeepsZeros(initialModel)) };
        RowShape shape = columns.ShapeIn(input.Schema);
        validation ??= options.ValidationSet;
        (IDataView, RowColumns)? validated = validation is null ? null : (validation, ValidationColumns(validation.Schema, input.Schema));
        NetworkDescription description = Describe(shape.Features, task.OutputCount);
        CheckSize(description);

        int drawn = host.Rand.Next();
        var surroundings = new TrainingSurroundings(Report, channel.Info, channel.Warning, CheckAlive);
        using CheckpointStore? checkpoints = CheckpointStore.Open(options);
        using TrainingData data = TrainingData.Load(
            options, (input, columns), validated, checkpoints, drawn, surroundings,
            ("the number of outputs", $"{task.OutputCount}"), ("the model to begin with", initialModel is null ? "none" : CheckNumberOf(initialModel)));
        description = description with { SparseFeatures = data.Rows.Format.IsSparse };
        NeuralOdeNetwork network = TorchSeed.Run(Seeds.Weights(data.Seed), () => new NeuralOdeNetwork(description));
        try
        {
            task.Prepare(data.Rows.Statistics, network);
            Initialize(network, initialModel, data.Rows.Statistics);
            network.MoveTo(device);
            using ITrainingRows here = data.Rows is MemoryRows memory ? memory.MoveTo(device) : data.Rows;
            using var loop = new TrainingLoop(new PredictorTraining(network, task, options), here, data.Validation, options.Plan(data.Seed, checkpoints), surroundings);
            IReadOnlyList<NeuralOdeEpochReport> history = loop.Run();
            network.MoveTo(CPU);
            return new FittedNetwork(network, _columns.FindFeatures(input.Schema).Type, labelColumn, history);
        }
        catch
        {
            network.Dispose();
            throw;
        }

        void Report(NeuralOdeEpochReport report)
        {
            channel.Info(report.ToString());
            options.EpochCallback?.Invoke(report);
        }
    }

    private void CheckAlive()
    {
        options.CancellationToken.ThrowIfCancellationRequested();
        host.CheckAlive();
    }

    private NetworkDescription Describe(int features, int outputs) => new(
        features, outputs, [.. options.EncoderLayers], [.. options.DynamicsLayers], options.EndTime, options.Solver.Name, options.ProductionTolerances.Relative,
        options.ProductionTolerances.Absolute, options.ProductionStepSize ?? options.StepSize);

    private void Initialize(NeuralOdeNetwork network, NeuralOdeModel? initialModel, RowStatistics statistics)
    {
        if (initialModel is null)
        {
            if (options.Normalization != FeatureNormalization.None)
                network.NormalizeInput(statistics.Features(options.Normalization));
            return;
        }
        using Scoring.SharedNetwork<NeuralOdeNetwork>.Loan loan = initialModel.Borrow();
        string? difference = initialModel.Kind == kind ? network.Description.DifferenceOfStructure(loan.Network.Description) : "it predicts another kind of label";
        if (difference is not null)
            throw new ArgumentException($"The model to begin with has another structure than this trainer makes: {difference}.", nameof(initialModel));
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

    private static void CheckSize(NetworkDescription description)
    {
        long weights = description.WeightCount();
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"A network of {weights} weights is larger than a model file can be, which holds {ModelFile.MostWeights}. Make EncoderLayers or DynamicsLayers smaller, or the number of " +
                $"features ({description.FeatureCount}) or of outputs ({description.OutputCount}).");
    }

    /// <summary>The columns of data for validation, whose keys may stand for the same classes in another order.</summary>
    private RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training)
    {
        DataViewType features = _columns.FindFeatures(training).Type, foundFeatures = _columns.FindFeatures(validation).Type;
        if (((VectorDataViewType)foundFeatures).Size != ((VectorDataViewType)features).Size)
            throw Schemas.Mismatch(host, "validationData", "feature", options.FeatureColumnName, features.ToString(), foundFeatures.ToString());
        DataViewSchema.Column expected = label.Find(host, training), found = label.Find(host, validation);
        if (label.Width(expected.Type) != label.Width(found.Type))
            throw Schemas.Mismatch(host, "validationData", "label", options.LabelColumnName, expected.Type.ToString(), found.Type.ToString());
        _columns.FindWeight(validation);
        return label is KeyLabel keys ? _columns with { Label = keys.Matching(expected, found) } : _columns;
    }
}
