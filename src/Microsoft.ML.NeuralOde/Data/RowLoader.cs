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
        format ??= columns.Series is not null ? new SeriesFormat(columns.ShapeIn(data.Schema).Features)
            : columns.TakesSparse && SparseFormat.Suits(data, columns)
            ? new SparseFormat(columns.ShapeIn(data.Schema).Features)
            : new DenseFormat(columns.ShapeIn(data.Schema).Features);
        return (ITrainingRows?)ReadIntoMemory(data, use, format) ?? Stream(data, use, format);
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
                return SplitStream(data, fraction, seed, all.Format);
            long count = (long)Math.Round(all.Count * fraction);
            CheckParts(fraction, all.Count, count);
            (MemoryRows front, MemoryRows back) = memory.Split(count, new Random(seed));
            return (back, front);
        }
    }

    private static void CheckParts(double fraction, long all, long validation)
    {
        if (validation == 0 || validation == all)
            throw new InvalidOperationException(
                $"ValidationFraction {fraction} of {all} rows leaves {validation} for validation; both parts need rows.");
    }

    private StreamedRows Stream(IDataView data, RowUse use, RowFormat format)
    {
        using var reader = new RowReader(data, columns, format);
        var statistics = new RowStatistics(format, columns.ShapeIn(data.Schema));
        for (long row = 0; reader.MoveNext(); row++)
        {
            Check(row);
            statistics.Add(reader.Features, reader.Labels, reader.Weight);
        }
        RequireRows(statistics.Count, reader, use);
        Warn(reader, use);
        return new StreamedRows(data, columns, format, null, statistics, memoryBudget);
    }

    private (ITrainingRows Training, ITrainingRows Validation) SplitStream(IDataView data, double fraction, int seed, RowFormat format)
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
        CheckParts(fraction, training.Count + validation.Count, validation.Count);
        return (
            new StreamedRows(data, columns, format, trained, training, memoryBudget),
            new StreamedRows(data, columns, format, validated, validation, memoryBudget));
    }

    /// <summary>Null where the rows do not fit into the budget.</summary>
    private MemoryRows? ReadIntoMemory(IDataView data, RowUse use, RowFormat format)
    {
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
            RequireRows(features.Count, reader, use);
            Warn(reader, use);
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
