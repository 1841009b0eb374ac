using System.Globalization;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>The rows of a training, and the seed that all its random numbers come from.</summary>
/// <param name="Rows">The rows to learn from.</param>
/// <param name="Validation">The rows to report the loss on; null for none.</param>
/// <param name="Seed">The seed.</param>
internal sealed record TrainingData(ITrainingRows Rows, ITrainingRows? Validation, int Seed) : IDisposable
{
    /// <summary>Reads the data, and finds the checkpoint that belongs to them.</summary>
    /// <param name="options">The training's options.</param>
    /// <param name="input">The training data and their columns.</param>
    /// <param name="validation">Data for validation and their columns; null for a share of the training data, or none.</param>
    /// <param name="checkpoints">Where the training is kept; null for nowhere.</param>
    /// <param name="drawnSeed">The seed of a training that has none in its options and no checkpoint.</param>
    /// <param name="surroundings">Who is told and asked.</param>
    /// <param name="more">What else the training is known by, by name.</param>
    public static TrainingData Load(
        NeuralOdeTrainerOptions options, (IDataView Data, RowColumns Columns) input, (IDataView Data, RowColumns Columns)? validation,
        CheckpointStore? checkpoints, int drawnSeed, TrainingSurroundings surroundings,
        params ReadOnlySpan<(string Name, string Value)> more)
    {
        if (surroundings.Team is { } team && options.DistributedRows != DistributedRows.Same)
            return new RankData(options, team, surroundings).Load(input, validation, checkpoints, drawnSeed, more);
        RowLoader loader = Loader(input.Columns);
        ITrainingRows rows = loader.Load(input.Data);
        ITrainingRows? validationRows = null;
        try
        {
            if (validation is { } own)
                validationRows = Loader(own.Columns).Load(own.Data, RowUse.Validation, rows.Format);
            surroundings.Team?.RequireSame(Facts(options, rows.Statistics, validationRows?.Statistics, more));
            checkpoints?.Identify(options, rows.Statistics, validationRows?.Statistics, surroundings.Warn, more);
            int seed = options.Seed ?? checkpoints?.Found?.Seed ?? drawnSeed;
            seed = surroundings.Team?.ShareSeed(seed) ?? seed;
            if (validation is null && options.ValidationFraction is { } share)
                (rows, validationRows) = loader.Split(rows, input.Data, share, Seeds.Split(seed));
            return new TrainingData(rows, validationRows, seed);
        }
        catch
        {
            rows.Dispose();
            validationRows?.Dispose();
            throw;
        }

        RowLoader Loader(RowColumns columns) =>
            new(columns, options.MemoryBudgetMegabytes * (1L << 20), surroundings.Warn, surroundings.CheckAlive);
    }

    /// <summary>What all processes of a training have in common.</summary>
    private static SortedDictionary<string, string> Facts(
        NeuralOdeTrainerOptions options, RowStatistics rows, RowStatistics? validation, ReadOnlySpan<(string Name, string Value)> more)
    {
        SortedDictionary<string, string> facts = CheckpointIdentity.Of(options, rows, validation);
        foreach ((string name, string value) in more)
            facts[name] = value;
        facts[nameof(options.Seed)] = options.Seed?.ToString(CultureInfo.InvariantCulture) ?? "null";
        return facts;
    }

    public void Dispose()
    {
        Rows.Dispose();
        Validation?.Dispose();
    }
}
