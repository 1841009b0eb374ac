using System.Globalization;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Reads the rows of a training of which each process holds some, see <see cref="DistributedRows"/>.</summary>
/// <param name="options">The training's options.</param>
/// <param name="team">The processes.</param>
/// <param name="surroundings">Who is told and asked.</param>
internal sealed class RankData(NeuralOdeTrainerOptions options, Team team, TrainingSurroundings surroundings)
{
    // Texts that are longer are compared by their check numbers.
    private const int LongText = 200;

    /// <inheritdoc cref="TrainingData.Load"/>
    public TrainingData Load(
        (IDataView Data, RowColumns Columns) input, (IDataView Data, RowColumns Columns)? validation, CheckpointStore? checkpoints,
        int drawnSeed, ReadOnlySpan<(string Name, string Value)> more)
    {
        // Nothing can be put together before it is known to be of one kind.
        RowShape shape = input.Columns.ShapeIn(input.Data.Schema);
        team.RequireSame(Facts(shape, input, validation is not null, more));
        RowLoader loader = Loader(input.Columns);
        RowFormat format = loader.FormatOf(input.Data, AllSuitSparse(loader.SuitsSparse(input.Data)));
        IDivisibleRows? held = null, heldBack = null;
        try
        {
            held = loader.LoadAny(input.Data, RowUse.Training, format);
            if (validation is { } own)
                heldBack = Loader(own.Columns).LoadAny(own.Data, RowUse.Validation, format);
            RankRows rows = RankRows.Of(team, held, format, shape);
            Require(rows, RowUse.Training);
            RankRows? validationRows = validation is null ? null : RankRows.Of(team, heldBack, format, shape);
            if (validationRows is not null)
                Require(validationRows, RowUse.Validation);
            checkpoints?.Identify(options, rows.Statistics, validationRows?.Statistics, surroundings.Warn, more);
            int seed = team.ShareSeed(options.Seed ?? checkpoints?.Found?.Seed ?? drawnSeed);
            if (validation is null && options.ValidationFraction is { } share)
            {
                long all = rows.Count;
                (held, heldBack) = held is null
                    ? (null, null) : loader.SplitAny(held, input.Data, share, Seeds.Rows(Seeds.Split(seed), team.Share.Rank));
                (rows, validationRows) = (RankRows.Of(team, held, format, shape), RankRows.Of(team, heldBack, format, shape));
                if (RowLoader.FindDefect(share, all, validationRows.Count) is { } defect)
                    throw team.Agreed(defect);
            }
            return new TrainingData(rows, validationRows, seed);
        }
        catch
        {
            held?.Dispose();
            heldBack?.Dispose();
            throw;
        }
    }

    private RowLoader Loader(RowColumns columns) => new(
        options.DistributedRows == DistributedRows.Parts ? columns with { Part = new RowPart(team.Share.Rank, team.Size) } : columns,
        options.MemoryBudgetMegabytes * (1L << 20), surroundings.Warn, surroundings.CheckAlive);

    /// <summary>Rows are kept without their zeros where that suits all processes that have rows.</summary>
    private bool AllSuitSparse(bool? own)
    {
        long[][] all = team.Gather([own is null ? 0 : own.Value ? 1 : -1]);
        return all.Any(one => one[0] > 0) && all.All(one => one[0] >= 0);
    }

    private void Require(RankRows rows, RowUse use)
    {
        if (rows.Count == 0)
            throw team.Agreed(new InvalidOperationException(
                $"There is no row to {(use == RowUse.Validation ? "validate on" : "train on")} in the data of any of the {team.Size} "
                + "processes."));
    }

    /// <summary>What all processes have in common, though their rows differ.</summary>
    private SortedDictionary<string, string> Facts(
        RowShape shape, (IDataView Data, RowColumns Columns) input, bool hasValidation, ReadOnlySpan<(string Name, string Value)> more)
    {
        var facts = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["the trainer"] = options.GetType().DeclaringType?.Name ?? options.GetType().Name,
            ["the features of a row"] = $"{shape.Features}",
            ["the numbers of a label"] = $"{shape.Labels}",
            ["the validation data"] = hasValidation ? "given" : "none",
            [nameof(options.DistributedRows)] = $"{options.DistributedRows}",
            [nameof(options.Seed)] = options.Seed?.ToString(CultureInfo.InvariantCulture) ?? "null",
        };
        foreach ((string name, string text) in OptionTexts.Of(options, OptionUse.Decides, OptionUse.MayChange))
            facts[name] = text;
        foreach ((string name, string value) in more)
            facts[name] = value;
        if (input.Columns.Label is KeyLabel label)
            facts["what the keys of the label stand for"] = Classes(label.Find(input.Columns.Context, input.Data.Schema));
        return facts;
    }

    /// <summary>Keys are numbers in the order of the classes, which files of one's own may have in another order.</summary>
    private static string Classes(DataViewSchema.Column column)
    {
        LabelKeys keys = LabelKeys.Of(column);
        if (keys.Values is null)
            return keys.Describe();
        string text = string.Join(", ", keys.Values);
        if (text.Length <= LongText)
            return text;
        var check = new CheckNumber();
        foreach (char sign in text)
            check.Add(sign);
        return $"{keys.Describe()} (check number {check})";
    }
}
