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
/// <param name="Table">What the features were put together from; null or empty where that is not known.</param>
internal sealed record FlowColumns(string Features, int[] FeatureDimensions, string? Condition, TableColumn[]? Table = null)
{
    /// <summary>The columns of tables that are drawn, one a feature or a category.</summary>
    public IEnumerable<TableColumn> TableColumns =>
        Table is { Length: > 0 } ? Table : Enumerable.Range(0, FeatureCount).Select(slot => TableColumn.Unnamed(Features, slot));

    public int FeatureCount => FeatureDimensions.Aggregate(1, (product, size) => product * size);

    /// <summary>Finds the columns in data that are to be scored.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    public (DataViewSchema.Column Features, DataViewSchema.Column? Condition) Find(
        IExceptionContext context, DataViewSchema schema, int conditionCount)
    {
        DataViewSchema.Column features = RowColumns.FindFeatures(context, schema, Features);
        if (((VectorDataViewType)features.Type).Size != FeatureCount)
            throw Schemas.Mismatch(
                context, nameof(schema), "feature", Features,
                new VectorDataViewType(NumberDataViewType.Single, FeatureDimensions).ToString(), features.Type.ToString());
        if (Condition is null)
            return (features, null);
        var format = new NumberLabel(Condition, "condition");
        DataViewSchema.Column condition = format.Find(context, schema);
        if (format.Width(condition.Type) != conditionCount)
            throw Schemas.Mismatch(
                context, nameof(schema), "condition", Condition, $"{conditionCount} numbers of Single", condition.Type.ToString());
        return (features, condition);
    }
}

/// <summary>The training of flows, for densities and detectors of anomalies.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="withEvidence">Whether <see cref="Evidence"/> is wanted.</param>
internal sealed class FlowFit(IHost host, ContinuousFlowTrainerOptions options, bool withEvidence = false)
    : TrainingRun<FlowNetwork>(host, options,
        new RowColumns(host, options.FeatureColumnName, ConditionOf(options), options.ExampleWeightColumnName)
        {
            Filling = options.Imputation == FeatureImputation.Median ? new FeatureFilling() : null,
        }), IDisposable
{
    private const int ScoringBatch = 1024;
    private const int MostScoredRows = 20_000;

    // From here on a flow is slow, and wide features are mostly zeros, which a flow computes as it computes all others.
    private const int Wide = 4096;

    // Of features without tails, in standard deviations.
    private const double UsualRange = 5;

    // What the smoothing noise makes of a standard deviation of one.
    private readonly double _widening = Math.Sqrt(1 + options.Smoothing * options.Smoothing);
    private RowShape _shape;
    private TableColumn[] _table = [];
    private ReshapingTables? _reshaping;

    // The rows that are learned from where some of them are left out, and rows as the flows see them where there is memory for both.
    private MemoryRows? _kept, _mapped;
    private FlowNetwork? _network;

    /// <summary>
    /// What the fitted flows say against training rows: all rows, or the first of a random order where there are many; null where it was
    /// not asked for.
    /// </summary>
    public FlowEvidence? Evidence { get; private set; }

    /// <summary>Frees the evidence and what was kept of rows; the network lives on.</summary>
    public void Dispose()
    {
        _kept?.Dispose();
        _mapped?.Dispose();
        Evidence?.Surprise.Dispose();
        Evidence?.LatentEnergy.Dispose();
    }

    /// <summary>Trains flows.</summary>
    /// <param name="input">The training data.</param>
    /// <param name="validation">Data for validation; null for what the options say.</param>
    /// <returns>The flows, the columns that they read, and what happened in each epoch.</returns>
    public (ContinuousFlowModel Model, FlowColumns Columns, IReadOnlyList<NeuralOdeEpochReport> History) Fit(
        IDataView input, IDataView? validation)
    {
        ArgumentNullException.ThrowIfNull(input);
        Columns.Filling?.Learn(input, Columns, CheckAlive);
        FittedNetwork<FlowNetwork> fitted = Run(input, validation);
        return (new ContinuousFlowModel(fitted.Network),
            new FlowColumns(options.FeatureColumnName, fitted.FeatureDimensions, options.ConditionColumnName, _table), fitted.History);
    }

    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training)
    {
        RowShape expected = Columns.ShapeIn(training), found = Columns.ShapeIn(validation);
        if (found.Features != expected.Features)
            throw Schemas.Mismatch(
                Host, "validationData", "feature", options.FeatureColumnName, $"{expected.Features} numbers of Single",
                $"{found.Features} numbers");
        if (found.Labels != expected.Labels)
            throw Schemas.Mismatch(
                Host, "validationData", "condition", options.ConditionColumnName!, $"{expected.Labels} numbers of Single",
                $"{found.Labels} numbers");
        Columns.FindWeight(validation);
        return Columns;
    }

    protected override void Begin(DataViewSchema schema) => _table = TableColumn.Of(schema, Columns.FindFeatures(schema));

    protected override void Plan(RowShape shape) => _shape = shape;

    protected override (string Name, string Value)[] Identity() => [("the numbers of a condition", $"{_shape.Labels}")];

    protected override Func<FlowNetwork> Design(TrainingData data, Action<string> warn)
    {
        _kept = options.TrimmedShare > 0 ? Trimmed(data) : null;
        ITrainingRows rows = _kept ?? data.Rows;
        RowStatistics statistics = rows.Statistics;
        CheckRows(statistics, warn);
        int[] whole = options.Dequantization == Dequantization.Integers ? statistics.WholeFeatures() : [];
        _reshaping =
            ReshapingTables.Fit(rows, options.Reshaping, [.. whole, .. statistics.ConstantFeatures()], Seeds.Order(data.Seed, 0));
        var description = new FlowDescription(
            _shape.Features, _shape.Labels, options.EnsembleSize, options.Blocks, [.. options.HiddenLayers], options.Activation,
            options.Solver.Name,
            options.ProductionTolerances.Relative, options.ProductionTolerances.Absolute, options.ProductionStepSize ?? options.StepSize,
            whole, _reshaping?.Slots, _reshaping?.Knots ?? 0, WholeValues.Of(statistics, whole, _table),
            Columns.Filling?.Values);
        CheckSize(description);
        return () => new FlowNetwork(description, options.SolverOptions());
    }

    protected override void Prepare(FlowNetwork network, RowStatistics statistics)
    {
        statistics = _kept?.Statistics ?? statistics;
        network.Standardize(Scaling(statistics, _reshaping, _widening), _reshaping, _shape.Labels > 0 ? statistics.Labels() : null);
        _network = network;
    }

    protected override ITrainable Learner(FlowNetwork network) =>
        new FlowTraining(network, options, options.Smoothing / _widening);

    protected override ITrainingRows Epochs(ITrainingRows rows)
    {
        if (_kept is not null)
            rows = _kept = _kept.MoveTo(_network!.Device);
        // Once for all epochs, where there is memory for both.
        if (rows is MemoryRows memory && 2 * memory.Count * _shape.Features * sizeof(float) <= options.MemoryBudgetMegabytes * (1L << 20))
            rows = _mapped = memory.Map(_network!.ToFlow);
        return options.BatchesPerEpoch is { } batches ? new RepeatedRows(rows, batches, options.BatchSize) : rows;
    }

    protected override void Finish(FlowNetwork network, ITrainingRows rows, int seed, Action<string> warn) =>
        Evidence = withEvidence ? Collect(network, rows, Seeds.Order(seed, 0)) : null;

    private MemoryRows Trimmed(TrainingData data) => data.Rows is MemoryRows memory
        ? memory.Select(RowTrimming.Keep(memory, options.TrimmedShare, Seeds.Order(data.Seed, 0)))
        : throw new InvalidOperationException(
            $"{nameof(options.TrimmedShare)} is {options.TrimmedShare}: rows are left out by a comparison of all of them, which must be in "
            + $"the memory of one process. Raise {nameof(options.MemoryBudgetMegabytes)}, or set it to 0.");

    private static NumberLabel? ConditionOf(ContinuousFlowTrainerOptions options) =>
        options.ConditionColumnName is { } condition ? new NumberLabel(condition, "condition") : null;

    /// <summary>
    /// What features, or what they are reshaped to, are scaled by, so that a scale of one standard deviation is one with the noise that
    /// smooths them.
    /// </summary>
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
            double factor = options.FeatureScale == FlowFeatureScale.DeviationAndRange && !constant.Contains(slot)
                ? Math.Sqrt(UsualRange / (range[slot] * scale[slot]))
                : 1;
            scale[slot] = (float)(scale[slot] * factor / widening);
        }
        return (mean, scale);
    }

    private static void CheckSize(FlowDescription description)
    {
        double weights = description.WeightCount();
        if (weights > ModelFile.MostWeights)
            throw new InvalidOperationException(
                $"Flows of {weights:F0} weights are larger than a model file can be, which holds {ModelFile.MostWeights}. " +
                $"Make HiddenLayers, Blocks or EnsembleSize smaller, or the number of features ({description.FeatureCount}).");
    }

    private void CheckRows(RowStatistics statistics, Action<string> warn)
    {
        if (statistics.Count < 2)
            throw new InvalidOperationException($"The data have {statistics.Count} usable row; a density needs at least two.");
        if (_shape.Features >= Wide)
            warn(
                $"The feature column '{options.FeatureColumnName}' has {_shape.Features} slots. A flow computes each of them for each row, zeros too: "
                + $"{options.BatchSize * (long)_shape.Features * sizeof(float) >> 20} MiB for each stage of a step of a batch of {options.BatchSize} rows. "
                + "Reduce them first, for instance by ProjectToPrincipalComponents or SelectFeaturesBasedOnCount.");
        int[] constant = statistics.ConstantFeatures();
        if (constant.Length == 0)
            return;
        string slots = string.Join(", ", constant.Take(10)) + (constant.Length > 10 ? ", …" : "");
        if (options.Smoothing == 0)
            throw new InvalidOperationException(
                $"The feature column '{options.FeatureColumnName}' has the same value in all rows, up to rounding, in slots {slots}: " +
                "the density would be infinite. Leave these slots out, or set Smoothing to a positive number.");
        warn(
            $"The feature column '{options.FeatureColumnName}' has the same value in all rows, up to rounding, in slots {slots}: " +
            "their density is that of the smoothing noise, taken in the features' own units.");
    }

    private FlowEvidence Collect(FlowNetwork network, ITrainingRows rows, int orderSeed)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        List<Tensor> surprises = [], energies = [];
        // Of rows that several processes hold each brings its share.
        long count = 0, most = (long)Math.Ceiling(MostScoredRows * (rows.HeldCount / (double)rows.Count));
        foreach (RowBatch batch in rows.Batches(ScoringBatch, orderSeed))
        {
            using (batch)
            {
                CheckAlive();
                if (batch.IsStandIn)
                    continue;
                FlowEvidence evidence = network.Evidence(batch.Features.To(network.Device).ToDense(), batch.Labels?.to(network.Device));
                surprises.Add(evidence.Surprise);
                energies.Add(evidence.LatentEnergy);
                count += batch.Count;
            }
            if (count >= most)
                break;
        }
        return new FlowEvidence(United(surprises), United(energies));

        Tensor United(List<Tensor> parts)
        {
            using Tensor own = parts.Count == 0 ? zeros(0, ScalarType.Float32, CPU) : cat(parts).to(CPU);
            return tensor(rows.Unite(own.data<float>().ToArray()), device: CPU).DetachFromDisposeScope();
        }
    }
}
