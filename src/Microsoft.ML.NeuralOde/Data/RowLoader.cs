namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// Which part of the rows of a data view: a row is drawn for validation by its number and a seed, the same in every pass.
/// </summary>
internal readonly record struct RowSplit(int Seed, double Fraction, bool Validation)
{
    public bool Contains(long row)
    {
        // SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): well mixed for neighbouring numbers.
        ulong z = (ulong)row * 0x9E3779B97F4A7C15 + (uint)Seed + 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        double uniform = ((z ^ (z >> 31)) >> 11) * (1.0 / (1L << 53));
        return uniform < Fraction == Validation;
    }
}

/// <summary>Reads data for training: into memory where they fit into the budget, otherwise as a stream in every epoch.</summary>
internal sealed class RowLoader(RowColumns columns, long memoryBudget, Action<string> warn, Action checkAlive)
{
    private const int RowsBetweenChecks = 256;

    /// <summary>All rows of a data view.</summary>
    /// <param name="data">The data.</param>
    /// <param name="use">What they are for.</param>
    /// <param name="format">What the features of a row are to be; null for what suits the data.</param>
    /// <exception cref="InvalidOperationException">There is no usable row, a weight is negative, or a vector has another length than its
    /// column's type.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public ITrainingRows Load(IDataView data, RowUse use = RowUse.Training, RowFormat? format = null)
    {
        format ??= FormatOf(data, SuitsSparse(data) == true);
        return Read(data, use, format, mayBeEmpty: false)!;
    }

    /// <summary>The rows of a data view of which there may be none, while other processes have some.</summary>
    /// <returns>Null where there are none.</returns>
    /// <inheritdoc cref="Load"/>
    public IDivisibleRows? LoadAny(IDataView data, RowUse use, RowFormat format) => Read(data, use, format, mayBeEmpty: true);

    /// <summary>Whether rows should be kept without their zeros; null where there are no rows to tell.</summary>
    public bool? SuitsSparse(IDataView data) =>
        columns.Series is null && columns.TakesSparse ? SparseFormat.Suits(data, columns) : false;

    /// <summary>What the features of a row are to be.</summary>
    public RowFormat FormatOf(IDataView data, bool isSparse)
    {
        int width = columns.ShapeIn(data.Schema).Features;
        return columns.Series is not null ? new SeriesFormat(width) : isSparse ? new SparseFormat(width) : new DenseFormat(width);
    }

    private IDivisibleRows? Read(IDataView data, RowUse use, RowFormat format, bool mayBeEmpty)
    {
        MemoryRows? memory = ReadIntoMemory(data, use, format, mayBeEmpty, out bool isEmpty);
        return isEmpty ? null : memory ?? (IDivisibleRows?)Stream(data, use, format, mayBeEmpty);
    }

    /// <summary>The rows of a data view in two parts.</summary>
    /// <inheritdoc cref="Split"/>
    public (ITrainingRows Training, ITrainingRows Validation) LoadAndSplit(IDataView data, double fraction, int seed) =>
        Split(Load(data), data, fraction, seed);

    /// <summary>Parts rows.</summary>
    /// <param name="all">The rows of the data; disposed of.</param>
    /// <param name="data">The data.</param>
    /// <param name="fraction">The share of the rows that are for validation.</param>
    /// <param name="seed">Decides which rows those are.</param>
    /// <exception cref="InvalidOperationException">There is no usable row, a part has none, or a weight is negative.</exception>
    public (ITrainingRows Training, ITrainingRows Validation) Split(ITrainingRows all, IDataView data, double fraction, int seed)
    {
        using (all)
        {
            if (all is not MemoryRows memory)
                return SplitStream(data, fraction, seed, all.Format, mayBeEmpty: false) is ({ } trained, { } validated)
                    ? (trained, validated) : throw new InvalidOperationException("A part has no rows.");
            long count = (long)Math.Round(all.Count * fraction);
            CheckParts(fraction, all.Count, count);
            (MemoryRows front, MemoryRows back) = memory.Split(count, new Random(seed));
            return (back, front);
        }
    }

    /// <summary>Parts rows of which there may be few: a part without rows is null.</summary>
    /// <inheritdoc cref="Split"/>
    public (IDivisibleRows? Training, IDivisibleRows? Validation) SplitAny(IDivisibleRows all, IDataView data, double fraction, int seed)
    {
        using (all)
        {
            if (all is not MemoryRows memory)
            {
                (StreamedRows? trained, StreamedRows? validated) = SplitStream(data, fraction, seed, all.Format, mayBeEmpty: true);
                return (trained, validated);
            }
            long count = (long)Math.Round(all.Count * fraction);
            // Neither part needs the other's memory.
            (MemoryRows front, MemoryRows back) = memory.Split(count, new Random(seed));
            return (NotEmpty(back), NotEmpty(front));
        }

        static MemoryRows? NotEmpty(MemoryRows rows)
        {
            if (rows.Count > 0)
                return rows;
            rows.Dispose();
            return null;
        }
    }

    /// <summary>What is wrong with the parts of rows; null where both have some.</summary>
    public static InvalidOperationException? FindDefect(double fraction, long all, long validation) => validation > 0 && validation < all
        ? null : new InvalidOperationException(
            $"ValidationFraction {fraction} of {all} rows leaves {validation} for validation; both parts need rows.");

    private static void CheckParts(double fraction, long all, long validation)
    {
        if (FindDefect(fraction, all, validation) is { } defect)
            throw defect;
    }

    private StreamedRows? Stream(IDataView data, RowUse use, RowFormat format, bool mayBeEmpty)
    {
        using var reader = new RowReader(data, columns, format);
        var statistics = new RowStatistics(format, columns.ShapeIn(data.Schema));
        for (long row = 0; reader.MoveNext(); row++)
        {
            Check(row);
            statistics.Add(reader.Features, reader.Labels, reader.Weight);
        }
        if (!mayBeEmpty)
            RequireRows(statistics.Count, reader, use);
        Warn(reader, use);
        return statistics.Count == 0 ? null : new StreamedRows(data, columns, format, null, statistics, memoryBudget);
    }

    private (StreamedRows? Training, StreamedRows? Validation) SplitStream(
        IDataView data, double fraction, int seed, RowFormat format, bool mayBeEmpty)
    {
        RowSplit trained = new(seed, fraction, Validation: false), validated = new(seed, fraction, Validation: true);
        using var reader = new RowReader(data, columns, format);
        RowShape shape = columns.ShapeIn(data.Schema);
        RowStatistics training = new(format, shape), validation = new(format, shape);
        for (long row = 0; reader.MoveNext(); row++)
        {
            Check(row);
            (trained.Contains(row) ? training : validation).Add(reader.Features, reader.Labels, reader.Weight);
        }
        if (!mayBeEmpty)
            CheckParts(fraction, training.Count + validation.Count, validation.Count);
        return (Rows(trained, training), Rows(validated, validation));

        StreamedRows? Rows(RowSplit split, RowStatistics statistics) =>
            statistics.Count == 0 ? null : new StreamedRows(data, columns, format, split, statistics, memoryBudget);
    }

    /// <summary>Null where the rows do not fit into the budget, or there are none and may be none.</summary>
    private MemoryRows? ReadIntoMemory(IDataView data, RowUse use, RowFormat format, bool mayBeEmpty, out bool isEmpty)
    {
        isEmpty = false;
        RowShape shape = columns.ShapeIn(data.Schema);
        long? expected = data.GetRowCount() / columns.Part.Count;
        if (!format.IsSparse && expected > memoryBudget / shape.Bytes)
            return null;
        FeatureStore features = format.CreateStore(expected);
        var labels = new List<float>();
        var weights = new List<float>();
        try
        {
            using var reader = new RowReader(data, columns, format);
            long bytes = 0;
            while (reader.MoveNext())
            {
                Check(features.Count);
                bytes += format.BytesOf(reader.Features) + shape.LabelBytes;
                if (bytes > memoryBudget)
                {
                    features.Dispose();
                    return null;
                }
                features.Add(reader.Features);
                labels.AddRange(reader.Labels);
                if (shape.IsWeighted)
                    weights.Add(reader.Weight);
            }
            if (!mayBeEmpty)
                RequireRows(features.Count, reader, use);
            Warn(reader, use);
            if (features.Count == 0)
            {
                isEmpty = true;
                features.Dispose();
                return null;
            }
            features.Complete();
            Tensor? y = shape.Labels == 0
                ? null : tensor(labels.ToArray(), [features.Count, shape.Labels], device: CPU).DetachFromDisposeScope();
            Tensor? w = shape.IsWeighted ? tensor(weights.ToArray(), device: CPU).DetachFromDisposeScope() : null;
            return MemoryRows.Of(format, features, y, w);
        }
        catch
        {
            features.Dispose();
            throw;
        }
    }

    private void Check(long row)
    {
        if (row % RowsBetweenChecks == 0)
            checkAlive();
    }

    private void RequireRows(long count, RowReader reader, RowUse use)
    {
        if (count > 0)
            return;
        string where = columns.Label is null
            ? $"the column '{columns.FeatureColumn}'"
            : $"the columns '{columns.FeatureColumn}' and '{columns.Label.Column}'";
        (string set, string purpose) = use == RowUse.Validation ? ("validation data set", "validate on") : ("data set", "train on");
        throw new InvalidOperationException(
            reader.Skipped == 0
                ? $"The {set} is empty: there is no row to {purpose} in {where}."
                : $"There is no row to {purpose}: {reader.SkippedDescription}.");
    }

    private void Warn(RowReader reader, RowUse use)
    {
        if (reader.Skipped > 0)
            warn($"{(use == RowUse.Validation ? "In the validation data: " : "")}{reader.SkippedDescription}. They are left out.");
    }
}

/// <summary>What rows are read for.</summary>
internal enum RowUse
{
    /// <summary>To learn from them.</summary>
    Training,

    /// <summary>To report the loss on them.</summary>
    Validation,
}
