using System.Collections;
using System.Globalization;
using System.Reflection;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Tells whether a checkpoint belongs to a training: the options, and figures of the data, as texts by name.</summary>
internal static class CheckpointIdentity
{
    /// <summary>What may be another when a training goes on: it does not decide what the weights, the optimizer's memory and the place in the data mean.</summary>
    private static readonly HashSet<string> Changeable =
    [
        nameof(NeuralOdeTrainerOptions.NumberOfEpochs), nameof(NeuralOdeTrainerOptions.LearningRate), nameof(NeuralOdeTrainerOptions.LearningRateSchedule),
        nameof(NeuralOdeTrainerOptions.WarmUpFraction), nameof(NeuralOdeTrainerOptions.LearningRateStepEpochs), nameof(NeuralOdeTrainerOptions.LearningRateStepFactor),
        nameof(NeuralOdeTrainerOptions.Momentum), nameof(NeuralOdeTrainerOptions.WeightDecay), nameof(NeuralOdeTrainerOptions.MaximumGradientNorm),
        nameof(NeuralOdeTrainerOptions.Solver), nameof(NeuralOdeTrainerOptions.RelativeTolerance), nameof(NeuralOdeTrainerOptions.AbsoluteTolerance),
        nameof(NeuralOdeTrainerOptions.FinalTolerances), nameof(NeuralOdeTrainerOptions.EvaluationTolerances), nameof(NeuralOdeTrainerOptions.ProductionTolerances),
        nameof(NeuralOdeTrainerOptions.StepSize), nameof(NeuralOdeTrainerOptions.ProductionStepSize), nameof(NeuralOdeTrainerOptions.GradientMethod),
        nameof(NeuralOdeTrainerOptions.EarlyStoppingPatience), nameof(NeuralOdeTrainerOptions.KeepBestWeights),
        nameof(NeuralOdePredictorOptions.Regularization), nameof(NeuralOdePredictorOptions.SpectralNormPenalty),
    ];

    /// <summary>Options that say nothing about the result, and the seed, which is kept by itself.</summary>
    private static readonly HashSet<string> Ignored =
    [
        nameof(NeuralOdeTrainerOptions.Seed), nameof(NeuralOdeTrainerOptions.ValidationSet), nameof(NeuralOdeTrainerOptions.CheckpointFolder),
        nameof(NeuralOdeTrainerOptions.CheckpointInterval), nameof(NeuralOdeTrainerOptions.ResumeFromCheckpoint), nameof(NeuralOdeTrainerOptions.EpochCallback),
        nameof(NeuralOdeTrainerOptions.CancellationToken),
    ];

    /// <summary>The name of the entry of the training data.</summary>
    public const string Data = "the training data";

    /// <summary>What a training is known by.</summary>
    /// <param name="options">Its options.</param>
    /// <param name="rows">All training data, before a part of them is kept for validation.</param>
    /// <param name="validation">Validation data of their own; null for none.</param>
    public static SortedDictionary<string, string> Of(NeuralOdeTrainerOptions options, RowStatistics rows, RowStatistics? validation)
    {
        var identity = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["the trainer"] = options.GetType().DeclaringType?.Name ?? options.GetType().Name,
            [Data] = rows.Describe(),
            ["the validation data"] = validation?.Describe() ?? "none",
        };
        foreach (FieldInfo field in options.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance))
            if (!Ignored.Contains(field.Name))
                identity[field.Name] = Text(field.GetValue(options));
        return identity;
    }

    /// <summary>Compares a checkpoint with a training.</summary>
    /// <param name="found">The checkpoint.</param>
    /// <param name="current">What the training is known by.</param>
    /// <param name="seed">The training's seed; null for the one that it began with.</param>
    /// <param name="file">The checkpoint's file.</param>
    /// <returns>Differences that do not matter for going on, as clauses.</returns>
    /// <exception cref="InvalidOperationException">There are differences that matter.</exception>
    public static IReadOnlyList<string> Compare(CheckpointDescription found, IReadOnlyDictionary<string, string> current, int? seed, string file)
    {
        var fatal = new List<string>();
        var harmless = new List<string>();
        foreach (string name in current.Keys.Union(found.Identity.Keys))
        {
            string then = found.Identity.GetValueOrDefault(name, "not known"), now = current.GetValueOrDefault(name, "not known");
            if (then != now)
                (Changeable.Contains(name) ? harmless : fatal).Add($"{name} was {then} and is {now}");
        }
        if (seed is { } given && given != found.Seed)
            fatal.Add($"{nameof(NeuralOdeTrainerOptions.Seed)} was {found.Seed} and is {given}");
        if (fatal.Count > 0)
            throw new InvalidOperationException(
                $"The checkpoint '{file}' belongs to another training: {string.Join("; ", fatal)}. Use the same options and data, choose another CheckpointFolder, " +
                "or set ResumeFromCheckpoint to false to begin afresh.");
        return harmless;
    }

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => text,
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable list => $"[{string.Join(", ", list.Cast<object>().Select(Text))}]",
        _ => value.ToString() ?? "",
    };
}
