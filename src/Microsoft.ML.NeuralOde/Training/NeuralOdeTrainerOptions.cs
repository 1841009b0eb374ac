using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde;

/// <summary>What all trainers of this library have in common: the data, the training's regime, the solver.</summary>
public abstract class NeuralOdeTrainerOptions
{
    /// <summary>The feature column, a vector of Single of known size. Default: “Features”.</summary>
    public string FeatureColumnName = DefaultColumnNames.Features;

    /// <summary>A column of Single by which rows count more or less; null for equal weights. Default: null.</summary>
    public string? ExampleWeightColumnName;

    /// <summary>Passes over the training data, at most. Default: 20.</summary>
    [Option(OptionUse.MayChange)]
    public int NumberOfEpochs = TrainingDefaults.NumberOfEpochs;

    /// <summary>Rows in a batch. Default: 128.</summary>
    public int BatchSize = TrainingDefaults.BatchSize;

    /// <summary>How weights follow gradients. Default: <see cref="NeuralOdeOptimizer.AdamW"/>.</summary>
    public NeuralOdeOptimizer Optimizer = NeuralOdeOptimizer.AdamW;

    /// <summary>The learning rate, or the highest one of a schedule. Default: 0.003.</summary>
    [Option(OptionUse.MayChange)]
    public double LearningRate = TrainingDefaults.LearningRate;

    /// <summary>How the learning rate changes. Default: <see cref="LearningRateSchedule.OneCycle"/>.</summary>
    [Option(OptionUse.MayChange)]
    public LearningRateSchedule LearningRateSchedule = LearningRateSchedule.OneCycle;

    /// <summary>The share of the training, from 0 to 1, in which the learning rate rises from zero in proportion. Default: 0.</summary>
    [Option(OptionUse.MayChange)]
    public double WarmUpFraction;

    /// <summary>Epochs between two steps of <see cref="LearningRateSchedule.Step"/>. Default: 5.</summary>
    [Option(OptionUse.MayChange)]
    public int LearningRateStepEpochs = 5;

    /// <summary>What <see cref="LearningRateSchedule.Step"/> multiplies the learning rate by, between 0 and 1. Default: 0.5.</summary>
    [Option(OptionUse.MayChange)]
    public double LearningRateStepFactor = 0.5;

    /// <summary>Momentum of <see cref="NeuralOdeOptimizer.Sgd"/>, from 0 to below 1. Default: 0.9.</summary>
    [Option(OptionUse.MayChange)]
    public double Momentum = 0.9;

    /// <summary>Weight decay, which pulls weights towards zero (see <see cref="NeuralOdeOptimizer"/>). Default: 0.</summary>
    [Option(OptionUse.MayChange)]
    public double WeightDecay;

    /// <summary>Gradients of a batch whose Euclidean norm is larger are scaled down to it. Default: null, no limit; 1.0 is usual.</summary>
    [Option(OptionUse.MayChange)]
    public double? MaximumGradientNorm;

    /// <summary>The numerical method. Default: <see cref="OdeMethod.Dopri5"/>.</summary>
    [Option(OptionUse.MayChange)]
    public OdeMethod Solver = OdeMethod.Dopri5;

    /// <summary>rtol of the solver in training. Default: 0.001.</summary>
    [Option(OptionUse.MayChange)]
    public double RelativeTolerance = TrainingDefaults.RelativeTolerance;

    /// <summary>atol of the solver in training. Default: 0.0001.</summary>
    [Option(OptionUse.MayChange)]
    public double AbsoluteTolerance = TrainingDefaults.AbsoluteTolerance;

    /// <summary>
    /// The tolerances at the end of the training, reached in equal ratios: cheap steps first, accurate ones last. Trainers of flows, on
    /// series and of forecasters do not change theirs, and refuse it. Default: null, the same all the time.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public SolverTolerances? FinalTolerances;

    /// <summary>The tolerances of validation. Default: <see cref="SolverTolerances.Evaluation"/>.</summary>
    [Option(OptionUse.MayChange)]
    public SolverTolerances EvaluationTolerances = SolverTolerances.Evaluation;

    /// <summary>The tolerances of the fitted model. Default: <see cref="SolverTolerances.Production"/>.</summary>
    [Option(OptionUse.MayChange)]
    public SolverTolerances ProductionTolerances = SolverTolerances.Production;

    /// <summary>
    /// Step size in training and validation: of methods without error control (null for one step), or of others, which then do without.
    /// Default: null.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public double? StepSize;

    /// <summary>
    /// Step size of the fitted model; a number makes the method do without error control, so that a prediction always costs the same.
    /// Default: null, which is <see cref="StepSize"/>.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public double? ProductionStepSize;

    /// <summary>How gradients come back through the solver. Default: <see cref="GradientMethod.Checkpointed"/>, exact and fast.</summary>
    [Option(OptionUse.MayChange)]
    public GradientMethod GradientMethod = GradientMethod.Checkpointed();

    /// <summary>
    /// How features are normalised. Default: <see cref="FeatureNormalization.PerSlot"/>; for pixels and the like
    /// <see cref="FeatureNormalization.Global"/> is better.
    /// </summary>
    public FeatureNormalization Normalization = FeatureNormalization.PerSlot;

    /// <summary>Seed of the weights and of the order of rows. Default: null, drawn from the MLContext, whose seed decides.</summary>
    [Option(OptionUse.Apart)]
    public int? Seed;

    /// <summary>Data on which the loss is reported after each epoch. Default: null.</summary>
    [Option(OptionUse.Unwritten)]
    public IDataView? ValidationSet;

    /// <summary>
    /// Fraction of the rows kept from training for that, where no validation set is given; between 0 and 1. Default: null.
    /// </summary>
    public double? ValidationFraction;

    /// <summary>
    /// The training ends when the validation loss has not fallen for so many epochs. Needs validation data. Default: null, all epochs are
    /// made.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public int? EarlyStoppingPatience;

    /// <summary>
    /// Whether the model gets the weights of the epoch with the smallest validation loss instead of the last ones, where there are
    /// validation data. Default: true.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public bool KeepBestWeights = true;

    /// <summary>
    /// Data up to this size, in units of 2^20 bytes (four bytes a number), are read once and held in memory, with up to twice this while
    /// they are read. Larger data are read as a stream in every epoch and shuffled in a pool of this size. Default: 1024.
    /// </summary>
    public int MemoryBudgetMegabytes = 1024;

    /// <summary>
    /// A folder in which the training is kept for the case that it is interrupted, in one file, neuralode.checkpoint; made where it is
    /// missing. The same training, begun again, goes on from there and ends with the same weights, to the last bit on a processor. The file
    /// stays after the training. Trainings of other data, such as the folds of a cross-validation, get files of their own beside it.
    /// Default: null, none.
    /// </summary>
    [Option(OptionUse.Apart)]
    public string? CheckpointFolder;

    /// <summary>
    /// The time from one checkpoint to the next; zero for one after every batch. One that cannot be written is warned of and tried again
    /// after that time. Default: one minute.
    /// </summary>
    [Option(OptionUse.Apart)]
    public TimeSpan CheckpointInterval = TimeSpan.FromMinutes(1);

    /// <summary>Whether a checkpoint in the folder is taken up; otherwise it is overwritten. Default: true.</summary>
    [Option(OptionUse.Apart)]
    public bool ResumeFromCheckpoint = true;

    /// <summary>
    /// Processes that train one model together, each with these options: each computes a part of every batch, and all end with the same
    /// weights; where all have the <see cref="DistributedRows.Same"/> data, with those of one process but for rounding.
    /// <see cref="EpochCallback"/>, logging and checkpoints are those of rank 0. Default: null, this process alone.
    /// </summary>
    [Option(OptionUse.Unwritten)]
    public TrainingGroup? Distributed;

    /// <summary>
    /// Which rows each process of <see cref="Distributed"/> holds, of the training data and of those for validation. Normalisation, classes
    /// and their weights, batches and validation are those of all rows together. Default: <see cref="DistributedRows.Same"/>.
    /// </summary>
    [Option(OptionUse.Unwritten)]
    public DistributedRows DistributedRows = DistributedRows.Same;

    /// <summary>Called after each epoch, on the training thread. Default: null.</summary>
    [Option(OptionUse.Unwritten)]
    public Action<NeuralOdeEpochReport>? EpochCallback;

    /// <summary>
    /// Called after every <see cref="BatchesPerReport"/> batches and at the end of an epoch, on the training thread; with
    /// <see cref="Distributed"/> on rank 0. Default: null.
    /// </summary>
    [Option(OptionUse.Unwritten)]
    public Action<NeuralOdeBatchReport>? BatchCallback;

    /// <summary>Batches from one call of <see cref="BatchCallback"/> to the next. Default: 100.</summary>
    [Option(OptionUse.Unwritten)]
    public int BatchesPerReport = 100;

    /// <summary>Ends the training, looked at before each batch and each step of the solver.</summary>
    [Option(OptionUse.Unwritten)]
    public CancellationToken CancellationToken;

    /// <summary>Whether the training follows <see cref="FinalTolerances"/>.</summary>
    internal virtual bool CanTightenTolerances => false;

    /// <summary>A copy that later changes do not reach.</summary>
    internal virtual NeuralOdeTrainerOptions Clone() => (NeuralOdeTrainerOptions)MemberwiseClone();

    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    internal virtual void Validate()
    {
        RequireColumn(FeatureColumnName, nameof(FeatureColumnName));
        Require(ExampleWeightColumnName is null || !string.IsNullOrWhiteSpace(ExampleWeightColumnName), nameof(ExampleWeightColumnName),
            ExampleWeightColumnName, "the name of a column or null");
        Require(NumberOfEpochs > 0, nameof(NumberOfEpochs), NumberOfEpochs, "at least 1");
        Require(BatchSize > 0, nameof(BatchSize), BatchSize, "at least 1");
        RequireDefined(Optimizer, nameof(Optimizer));
        RequirePositive(LearningRate, nameof(LearningRate));
        RequireRange(LearningRate, nameof(LearningRate), WeightOptimizer.LargestLearningRate);
        Require((float)LearningRate > 0, nameof(LearningRate), LearningRate,
            $"at least {float.Epsilon}, the smallest number that weights can change by");
        RequireDefined(LearningRateSchedule, nameof(LearningRateSchedule));
        Require(WarmUpFraction is >= 0 and <= 1, nameof(WarmUpFraction), WarmUpFraction, "from 0 to 1");
        Require(LearningRateStepEpochs > 0, nameof(LearningRateStepEpochs), LearningRateStepEpochs, "at least 1");
        Require(LearningRateStepFactor is > 0 and <= 1, nameof(LearningRateStepFactor), LearningRateStepFactor, "above 0 and at most 1");
        Require(Momentum is >= 0 and < 1, nameof(Momentum), Momentum, "from 0 to below 1");
        RequireWeight(WeightDecay, nameof(WeightDecay));
        Require(
            LearningRate * WeightDecay <= float.MaxValue, nameof(LearningRate), LearningRate,
            string.Create(
                CultureInfo.InvariantCulture, $"smaller where WeightDecay is {WeightDecay}: their product is more than float32 holds"));
        Require(MaximumGradientNorm is null or > 0, nameof(MaximumGradientNorm), MaximumGradientNorm, "a positive number or null");
        Require(
            MaximumGradientNorm is null || ((float)MaximumGradientNorm > 0 && MaximumGradientNorm <= float.MaxValue),
            nameof(MaximumGradientNorm), MaximumGradientNorm, "a positive number that float32 holds, or null for no limit");
        Require(Solver is not null, nameof(Solver), Solver, "a method such as OdeMethod.Dopri5");
        Require(
            Solver.IsKnownByName, nameof(Solver), $"'{Solver}'",
            "a method that OdeMethod.Parse finds by its name, which is all that model files hold of it: "
            + "no tableau of one's own, and no coupling with a λ of its own");
        RequirePositive(RelativeTolerance, nameof(RelativeTolerance));
        RequirePositive(AbsoluteTolerance, nameof(AbsoluteTolerance));
        Require(FinalTolerances?.AreValid != false, nameof(FinalTolerances), FinalTolerances, "positive tolerances or null");
        Require(FinalTolerances is null || CanTightenTolerances, nameof(FinalTolerances), FinalTolerances,
            "null: trainings of flows, on series and of forecasters do not change their tolerances");
        Require(EvaluationTolerances is { AreValid: true }, nameof(EvaluationTolerances), EvaluationTolerances, "positive tolerances");
        Require(ProductionTolerances is { AreValid: true }, nameof(ProductionTolerances), ProductionTolerances, "positive tolerances");
        RequireAttainable(new SolverTolerances(RelativeTolerance, AbsoluteTolerance), nameof(RelativeTolerance));
        RequireAttainable(FinalTolerances, nameof(FinalTolerances));
        RequireAttainable(EvaluationTolerances, nameof(EvaluationTolerances));
        RequireAttainable(ProductionTolerances, nameof(ProductionTolerances));
        RequireStep(StepSize, nameof(StepSize));
        RequireStep(ProductionStepSize, nameof(ProductionStepSize));
        Require(GradientMethod is not null, nameof(GradientMethod), GradientMethod, "a gradient method such as GradientMethod.Adjoint()");
        RequireDefined(Normalization, nameof(Normalization));
        Require(ValidationFraction is null or (> 0 and < 1), nameof(ValidationFraction), ValidationFraction, "between 0 and 1, or null");
        Require(EarlyStoppingPatience is null or > 0, nameof(EarlyStoppingPatience), EarlyStoppingPatience, "at least 1, or null");
        Require(CheckpointFolder is null || !string.IsNullOrWhiteSpace(CheckpointFolder), nameof(CheckpointFolder), $"'{CheckpointFolder}'",
            "the path of a folder or null");
        Require(CheckpointInterval >= TimeSpan.Zero, nameof(CheckpointInterval), CheckpointInterval, "zero or a positive time");
        RequireDefined(DistributedRows, nameof(DistributedRows));
        Require(BatchesPerReport > 0, nameof(BatchesPerReport), BatchesPerReport, "at least 1");
        Require(MemoryBudgetMegabytes > 0, nameof(MemoryBudgetMegabytes), MemoryBudgetMegabytes, "at least 1");
    }

    /// <summary>The options that are not at their defaults.</summary>
    /// <returns>For instance “NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 3, StepSize = 0.1 }”.</returns>
    public override string ToString()
    {
        var defaults = OptionTexts.Of((NeuralOdeTrainerOptions)Activator.CreateInstance(GetType())!);
        IEnumerable<string> changed = OptionTexts.Of(this).Where(option => defaults.GetValueOrDefault(option.Key) != option.Value)
            .Select(option => $"{option.Key} = {option.Value}");
        return $"{GetType().DeclaringType?.Name}.{GetType().Name} {{ {string.Join(", ", changed)} }}";
    }

    /// <summary>How the equation is solved in training.</summary>
    internal OdeSolverOptions SolverOptions() => new()
    {
        Method = Solver,
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        Norm = Distributed?.StepNorm ?? ErrorNorm.Rms,
        Gradient = GradientMethod,
        CancellationToken = CancellationToken,
    };

    /// <summary>The tolerances of training when a share of it, 0 to 1, lies behind.</summary>
    internal SolverTolerances TolerancesAt(double progress)
    {
        var first = new SolverTolerances(RelativeTolerance, AbsoluteTolerance);
        return FinalTolerances is null ? first : first.Towards(FinalTolerances, progress);
    }

    /// <summary>How the training loop is to go about it.</summary>
    internal TrainingPlan Plan(int seed, CheckpointStore? checkpoints) => new(
        NumberOfEpochs, BatchSize, Optimizer,
        new LearningRates(
            LearningRateSchedule, LearningRate, WarmUpFraction, LearningRateStepEpochs, LearningRateStepFactor, NumberOfEpochs),
        Momentum, WeightDecay, MaximumGradientNorm, EarlyStoppingPatience, KeepBestWeights, seed, checkpoints, BatchesPerReport,
        CancellationToken);

    private protected static void RequireColumn(string name, string option) =>
        Require(!string.IsNullOrWhiteSpace(name), option, name, "the name of a column");

    private protected static void RequirePositive(double value, string option)
    {
        Require(value > 0 && double.IsFinite(value), option, value, "a positive number");
        RequireRange(value, option, float.MaxValue);
    }

    private protected static void RequireWeight(double value, string option)
    {
        Require(value >= 0 && double.IsFinite(value), option, value, "zero or a positive number");
        RequireRange(value, option, float.MaxValue);
    }

    // What enters torch's arithmetic in float32 must not be more than that holds: torch throws, and not by the option's name.
    private protected static void RequireRange(double value, string option, double largest) =>
        Require(Math.Abs(value) <= largest, option, value,
            string.Create(CultureInfo.InvariantCulture, $"at most {largest:G3}: the training computes in float32"));

    /// <summary>Checks that the columns of the output have different names.</summary>
    private protected static void RequireDifferent(params ReadOnlySpan<(string? Name, string Option)> outputs)
    {
        for (int i = 0; i < outputs.Length; i++)
            for (int k = 0; k < i; k++)
                Require(
                    outputs[i].Name is null || outputs[i].Name != outputs[k].Name, outputs[i].Option, outputs[i].Name,
                    $"another name than that of {outputs[k].Option}: one of the two columns would hide the other");
    }

    private static void RequireAttainable(SolverTolerances? tolerances, string option) => Require(
        tolerances?.AreAttainable != false, option, tolerances,
        "larger, or the other tolerance beside it: no step is small enough where both are below 2.2E-16");

    private protected static void RequireDefined<T>(T value, string option)
        where T : struct, Enum => Require(Enum.IsDefined(value), option, value, $"one of {string.Join(", ", Enum.GetNames<T>())}");

    private protected static void RequireStep(double? size, string option) =>
        Require(size is null || (size > 0 && double.IsFinite(size.Value)), option, size, "a positive number or null");

    private protected static void Require([DoesNotReturnIf(false)] bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(
                option, string.Create(CultureInfo.InvariantCulture, $"{option} is {found ?? "null"}; it must be {expected}."));
    }
}

/// <summary>Defaults that catalog methods and options have in common.</summary>
internal static class TrainingDefaults
{
    public const int NumberOfEpochs = 20;
    public const int BatchSize = 128;
    public const double LearningRate = 3e-3;
    public const double RelativeTolerance = 1e-3;
    public const double AbsoluteTolerance = 1e-4;
}
