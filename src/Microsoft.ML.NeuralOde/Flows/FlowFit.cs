using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>Columns that a flow reads.</summary>
/// <param name="Features">The feature column.</param>
/// <param name="FeatureDimensions">The dimensions of its vectors.</param>
/// <param name="Condition">The condition's column; null for none.</param>
internal sealed record FlowColumns(string Features, int[] FeatureDimensions, string? Condition)
{
    public int FeatureCount => FeatureDimensions.Aggregate(1, (product, size) => product * size);

    /// <summary>Finds the columns in data that are to be scored.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    public (DataViewSchema.Column Features, DataViewSchema.Column? Condition) Find(IExceptionContext context, DataViewSchema schema, int conditionCount)
    {
        DataViewSchema.Column features = RowColumns.FindFeatures(context, schema, Features);
        if (((VectorDataViewType)features.Type).Size != FeatureCount)
            throw Schemas.Mismatch(
                context, nameof(schema), "feature", Features, new VectorDataViewType(NumberDataViewType.Single, FeatureDimensions).ToString(), features.Type.ToString());
        if (Condition is null)
            return (features, null);
        var format = new NumberLabel(Condition, "condition");
        DataViewSchema.Column condition = format.Find(context, schema);
        if (format.Width(condition.Type) != conditionCount)
            throw Schemas.Mismatch(context, nameof(schema), "condition", Condition, $"{conditionCount} numbers of Single", condition.Type.ToString());
        return (features, condition);
    }
}

/// <summary>Flows that were fitted.</summary>
/// <param name="Network">The flows.</param>
/// <param name="Columns">The columns that they read.</param>
/// <param name="History">What happened in each epoch.</param>
/// <param name="Evidence">Of training rows: all rows, or the first of a random order where there are many; null where it was not asked for.</param>
internal sealed record FittedFlow(FlowNetwork Network, FlowColumns Columns, IReadOnlyList<NeuralOdeEpochReport> History, FlowEvidence? Evidence) : IDisposable
{
    /// <summary>Frees the evidence; the network lives on.</summary>
    public void Dispose()
    {
        Evidence?.Surprise.Dispose();
        Evidence?.LatentEnergy.Dispose();
    }
}

/// <summary>From rows to trained flows: what the estimator of densities and the trainer of anomaly detectors share.</summary>
internal sealed class FlowFit(IHost host, ContinuousFlowTrainerOptions options)
{
    private const int ScoringBatch = 1024;
    private const int MostScoredRows = 20_000;

    // Of features without tails, in standard deviations.
    private const double UsualRange = 5;

    private readonly RowColumns _columns = new(
        host, options.FeatureColumnName, options.ConditionColumnName is { } condition ? new NumberLabel(condition, "condition") : null, options.ExampleWeightColumnName);

    /// <summary>Checks the columns that are read.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public void CheckSchema(SchemaShape schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        Schemas.CheckFeatures(host, schema, options.FeatureColumnName);
        if (options.ExampleWeightColumnName is { } weight)
            Schemas.CheckWeight(host, schema, weight);
        _columns.Label?.Find(host, schema);
    }

    /// <summary>Trains flows.</summary>
    /// <param name="input">The training data.</param>
    /// <param name="validation">Data for validation; null for what the options say.</param>
    /// <param name="withEvidence">Whether <see cref="FittedFlow.Evidence"/> is wanted.</param>
    public FittedFlow Run(IDataView input, IDataView? validation, bool withEvidence)
    {
        ArgumentNullException.ThrowIfNull(input);
        TorchRuntime.EnsureAvailable();
        CheckSchema(Schemas.ShapeOf(input.Schema));
        using IChannel channel = host.Start("Training");
        Device device = TrainingDevice.Choose(host, channel.Warning);
        RowShape shape = _columns.ShapeIn(input.Schema);
        validation ??= options.ValidationSet;
        if (validation is not null)
            CheckValidation(validation.Schema, shape);

        int drawn = host.Rand.Next();
        var surroundings = new TrainingSurroundings(Report, channel.Info, channel.Warning, CheckAlive);
        using CheckpointStore? checkpoints = CheckpointStore.Open(options);
        using TrainingData data = TrainingData.Load(
            options, (input, _columns), validation is null ? null : (validation, _columns), checkpoints, drawn, surroundings, ("the numbers of a condition", $"{shape.Labels}"));
        RowStatistics statistics = data.Rows.Statistics;
        CheckRows(statistics, channel);
        double widening = Math.Sqrt(1 + options.Smoothing * options.Smoothing);
        int[] whole = options.Dequantization == Dequantization.Integers ? statistics.WholeFeatures() : [];
        ReshapingTables? reshaping = ReshapingTables.Fit(data.Rows, options.Reshaping, [.. whole, .. statistics.ConstantFeatures()], Seeds.Order(data.Seed, 0));
        FlowDescription description = Describe(shape, whole, reshaping);
        CheckSize(description);
        FlowNetwork network = TorchSeed.Run(Seeds.Weights(data.Seed), () => new FlowNetwork(description, options.SolverOptions()));
        try
        {
            network.Standardize(Scaling(statistics, reshaping, widening), reshaping, shape.Labels > 0 ? statistics.Labels() : null);
            network.MoveTo(device);
            using ITrainingRows here = data.Rows is MemoryRows memory ? memory.MoveTo(device) : data.Rows;
            ITrainingRows epochs = options.BatchesPerEpoch is { } batches ? new RepeatedRows(here, batches, options.BatchSize) : here;
            var training = new FlowTraining(network, options, options.Smoothing / widening);
            using var loop = new TrainingLoop(training, epochs, data.Validation, options.Plan(data.Seed, checkpoints), surroundings);
            IReadOnlyList<NeuralOdeEpochReport> history = loop.Run();
            FlowEvidence? evidence = withEvidence ? Evidence(network, here, Seeds.Order(data.Seed, 0)) : null;
            network.MoveTo(CPU);
            var type = (VectorDataViewType)_columns.FindFeatures(input.Schema).Type;
            return new FittedFlow(network, new FlowColumns(options.FeatureColumnName, [.. type.Dimensions], options.ConditionColumnName), history, evidence);
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

    private FlowDescription Describe(RowShape shape, int[] whole, ReshapingTables? reshaping) => new(
        shape.Features, shape.Labels, options.EnsembleSize, options.Blocks, [.. options.HiddenLayers], options.Activation, options.Solver.Name,
        options.ProductionTolerances.Relative, options.ProductionTolerances.Absolute, options.ProductionStepSize ?? options.StepSize,
        whole, reshaping?.Slots, reshaping?.Knots ?? 0);

    /// <summary>What features, or what they are reshaped to, are scaled by, so that a scale of one standard deviation is one with the noise that smooths them.</summary>
    private (float[] Mean, float[] Scale) Scaling(RowStatistics statistics, ReshapingTables? reshaping, double widening)
    {
        (float[] mean, float[] scale) = statistics.Features(FeatureNormalization.PerSlot);
        double[] range = statistics.FeatureRanges();
        for (int i = 0; i < reshaping?.Slots.Length; i++)
        {
            int slot = reshaping.Slots[i];
            (mean[slot], scale[slot], range[slot]) = (reshaping.Mean[i], reshaping.Scale[i], reshaping.Range[i]);
        }
        int[] constant = statistics.ConstantFeatures();
        for (int slot = 0; slot < scale.Length; slot++)
        {
            double factor = options.FeatureScale == FlowFeatureScale.DeviationAndRange && !constant.Contains(slot) ? Math.Sqrt(UsualRange / (range[slot] * scale[slot])) : 1;
            scale[slot] = (float)(scale[slot] * factor / widening);
        }
        return (mean, scale);
    }

    private static void CheckSize(FlowDescription description)
    {
        double weights = description.WeightCount();
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"Flows of {weights:F0} weights are larger than a model file can be, which holds {ModelFile.MostWeights}. Make HiddenLayers, Blocks or EnsembleSize smaller, or the number of " +
                $"features ({description.FeatureCount}).");
    }

    private void CheckRows(RowStatistics statistics, IChannel channel)
    {
        if (statistics.Count < 2)
            throw new InvalidOperationException($"The data have {statistics.Count} usable row; a density needs at least two.");
        int[] constant = statistics.ConstantFeatures();
        if (constant.Length == 0)
            return;
        string slots = string.Join(", ", constant.Take(10)) + (constant.Length > 10 ? ", …" : "");
        if (options.Smoothing == 0)
            throw new InvalidOperationException(
                $"The feature column '{options.FeatureColumnName}' has the same value in all rows, up to rounding, in slots {slots}: the density would be infinite. " +
                "Leave these slots out, or set Smoothing to a positive number.");
        channel.Warning(
            $"The feature column '{options.FeatureColumnName}' has the same value in all rows, up to rounding, in slots {slots}: their density is that of the smoothing noise, taken " +
            "in the features' own units.");
    }

    private void CheckValidation(DataViewSchema validation, RowShape training)
    {
        RowShape found = _columns.ShapeIn(validation);
        if (found.Features != training.Features)
            throw Schemas.Mismatch(
                host, "validationData", "feature", options.FeatureColumnName, $"{training.Features} numbers of Single", $"{found.Features} numbers");
        if (found.Labels != training.Labels)
            throw Schemas.Mismatch(
                host, "validationData", "condition", options.ConditionColumnName!, $"{training.Labels} numbers of Single", $"{found.Labels} numbers");
        _columns.FindWeight(validation);
    }

    private FlowEvidence Evidence(FlowNetwork network, ITrainingRows rows, int orderSeed)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        List<Tensor> surprises = [], energies = [];
        long count = 0;
        foreach (RowBatch batch in rows.Batches(ScoringBatch, orderSeed))
        {
            using (batch)
            {
                CheckAlive();
                FlowEvidence evidence = network.Evidence(batch.Features.To(network.Device).ToDense(), batch.Labels?.to(network.Device));
                surprises.Add(evidence.Surprise);
                energies.Add(evidence.LatentEnergy);
                count += batch.Count;
            }
            if (count >= MostScoredRows)
                break;
        }
        return new FlowEvidence(cat(surprises).to(CPU).DetachFromDisposeScope(), cat(energies).to(CPU).DetachFromDisposeScope());
    }
}
