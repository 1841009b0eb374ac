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

    public static SortedDictionary<string, string> Of(NeuralOdeTrainerOptions options, ITrainingRows rows, ITrainingRows? validation)
    {
        var identity = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (FieldInfo field in options.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance))
            if (!Ignored.Contains(field.Name))
                identity[field.Name] = Text(field.GetValue(options));
        identity["the training data"] = Describe(rows);
        identity["the validation data"] = validation is null ? "none" : Describe(validation);
        return identity;
    }

    /// <summary>Compares a checkpoint with a training.</summary>
    /// <returns>Differences that do not matter for going on, as clauses.</returns>
    /// <exception cref="InvalidOperationException">There are differences that matter.</exception>
    public static IReadOnlyList<string> Compare(IReadOnlyDictionary<string, string> found, IReadOnlyDictionary<string, string> current, string file)
    {
        var fatal = new List<string>();
        var harmless = new List<string>();
        foreach (string name in current.Keys.Union(found.Keys))
        {
            string then = found.GetValueOrDefault(name, "not known"), now = current.GetValueOrDefault(name, "not known");
            if (then != now)
                (Changeable.Contains(name) ? harmless : fatal).Add($"{name} was {then} and is {now}");
        }
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

    private static string Describe(ITrainingRows rows)
    {
        // Means and scales change with nearly every change of the data.
        (float[] mean, float[] scale) = rows.Statistics.Features(FeatureNormalization.PerSlot);
        var hash = 17L;
        foreach (float value in mean.Concat(scale))
            hash = unchecked(hash * 1_000_003 + BitConverter.SingleToInt32Bits(value));
        return string.Create(CultureInfo.InvariantCulture, $"{rows.Count} rows of {mean.Length} features (check number {hash:x16})");
    }
}
