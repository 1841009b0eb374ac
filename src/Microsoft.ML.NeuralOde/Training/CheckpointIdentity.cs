using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Tells whether a checkpoint belongs to a training: the options, and figures of the data, as texts by name.</summary>
internal static class CheckpointIdentity
{
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
        foreach ((string name, string text) in OptionTexts.Of(options, OptionUse.Decides, OptionUse.MayChange))
            identity[name] = text;
        return identity;
    }

    /// <summary>Compares a checkpoint with a training.</summary>
    /// <param name="found">The checkpoint.</param>
    /// <param name="current">What the training is known by.</param>
    /// <param name="options">The training's options.</param>
    /// <param name="file">The checkpoint's file.</param>
    /// <returns>Differences that do not matter for going on, as clauses.</returns>
    /// <exception cref="InvalidOperationException">There are differences that matter.</exception>
    public static IReadOnlyList<string> Compare(
        CheckpointDescription found, IReadOnlyDictionary<string, string> current, NeuralOdeTrainerOptions options, string file)
    {
        var fatal = new List<string>();
        var harmless = new List<string>();
        foreach (string name in current.Keys.Union(found.Identity.Keys))
        {
            string then = found.Identity.GetValueOrDefault(name, "not known"), now = current.GetValueOrDefault(name, "not known");
            if (then != now)
                (OptionTexts.MayChange(options, name) ? harmless : fatal).Add($"{name} was {then} and is {now}");
        }
        if (options.Seed is { } given && given != found.Seed)
            fatal.Add($"{nameof(NeuralOdeTrainerOptions.Seed)} was {found.Seed} and is {given}");
        if (fatal.Count > 0)
            throw new InvalidOperationException(
                $"The checkpoint '{file}' belongs to another training: {string.Join("; ", fatal)}. " +
                "Use the same options and data, choose another CheckpointFolder, or set ResumeFromCheckpoint to false to begin afresh.");
        return harmless;
    }
}
