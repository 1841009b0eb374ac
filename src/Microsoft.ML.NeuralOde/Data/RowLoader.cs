using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Which part of the rows of a data view: a row is drawn for validation by its number and a seed, the same in every pass.</summary>
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
    private const long ChunkBytes = 1 << 26;
    private const int RowsBetweenChecks = 256;

    /// <summary>All rows of a data view.</summary>
    /// <exception cref="InvalidOperationException">There is no usable row, or a weight is negative.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public ITrainingRows Load(IDataView data) => (ITrainingRows?)ReadIntoMemory(data) ?? Stream(data, null);

    /// <summary>The rows for training and those for validation, if any: from other data, or a share of the same.</summary>
    /// <param name="data">The training data.</param>
    /// <param name="validation">The data for validation; null for a share of the training data, or none.</param>
    /// <param name="fraction">That share; null for none.</param>
    /// <param name="seed">The training's seed.</param>
    /// <inheritdoc cref="LoadAndSplit"/>
    public (ITrainingRows Rows, ITrainingRows? Validation) LoadParts(IDataView data, IDataView? validation, double? fraction, int seed)
    {
        if (validation is null && fraction is { } share)
            return LoadAndSplit(data, share, Training.Seeds.Split(seed));
        ITrainingRows rows = Load(data);
        try
        {
            return (rows, validation is null ? null : Load(validation));
        }
        catch
        {
            rows.Dispose();
            throw;
        }
    }

    /// <summary>The rows of a data view in two parts.</summary>
    /// <param name="data">The data.</param>
    /// <param name="fraction">The share of the rows that are for validation.</param>
    /// <param name="seed">Decides which rows those are.</param>
    /// <exception cref="InvalidOperationException">There is no usable row, a part has none, or a weight is negative.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public (ITrainingRows Training, ITrainingRows Validation) LoadAndSplit(IDataView data, double fraction, int seed)
    {
        using MemoryRows? all = ReadIntoMemory(data);
        if (all is null)
            return (Stream(data, new RowSplit(seed, fraction, Validation: false)), Stream(data, new RowSplit(seed, fraction, Validation: true)));
        long count = (long)Math.Round(all.Count * fraction);
        if (count == 0 || count == all.Count)
            throw new InvalidOperationException($"ValidationFraction {fraction} of {all.Count} rows leaves {count} for validation; both parts need rows.");
        (MemoryRows front, MemoryRows back) = all.Split(count, new Random(seed));
        return (back, front);
    }

    private StreamedRows Stream(IDataView data, RowSplit? split)
    {
        using var reader = new RowReader(data, columns);
        var statistics = new RowStatistics(columns.ShapeIn(data.Schema));
        for (long row = 0; reader.MoveNext(); row++)
        {
            Check(row);
            if (split?.Contains(row) != false)
                statistics.Add(reader.Features, reader.Labels, reader.Weight);
        }
        // The part for training tells about all rows that are left out.
        if (split is not { Validation: true })
            Warn(reader);
        RequireRows(statistics.Count, reader);
        return new StreamedRows(data, columns, split, statistics, memoryBudget);
    }

    /// <summary>Null where the rows do not fit into the budget.</summary>
    private MemoryRows? ReadIntoMemory(IDataView data)
    {
        RowShape shape = columns.ShapeIn(data.Schema);
        if (data.GetRowCount() is { } known && known > memoryBudget / shape.Bytes)
            return null;
        int capacity = (int)Math.Clamp(data.GetRowCount() ?? 8192, 1, Math.Max(1, ChunkBytes / (sizeof(float) * (long)shape.Features)));
        var chunks = new List<Tensor>();
        var labels = new List<float>();
        var weights = new List<float>();
        try
        {
            using var reader = new RowReader(data, columns);
            int used = capacity;
            long count = 0;
            for (; reader.MoveNext(); count++)
            {
                Check(count);
                if (count >= memoryBudget / shape.Bytes)
                    return null;
                if (used == capacity)
                {
                    chunks.Add(empty([capacity, shape.Features], ScalarType.Float32, CPU).DetachFromDisposeScope());
                    used = 0;
                }
                reader.Features.CopyTo(MemoryMarshal.Cast<byte, float>(chunks[^1].bytes).Slice(used * shape.Features, shape.Features));
                labels.AddRange(reader.Labels);
                if (shape.IsWeighted)
                    weights.Add(reader.Weight);
                used++;
            }
            RequireRows(count, reader);
            Warn(reader);
            Tensor features = Join(chunks, used);
            Tensor? y = shape.Labels == 0 ? null : tensor(labels.ToArray(), [count, shape.Labels], device: CPU).DetachFromDisposeScope();
            Tensor? w = shape.IsWeighted ? tensor(weights.ToArray(), device: CPU).DetachFromDisposeScope() : null;
            return new MemoryRows(features, y, w, MemoryRows.StatisticsOf(features, y, w));
        }
        finally
        {
            foreach (Tensor chunk in chunks)
                chunk.Dispose();
        }
    }

    private static Tensor Join(List<Tensor> chunks, int used)
    {
        using Tensor last = chunks[^1].narrow(0, 0, used);
        Tensor joined = chunks.Count == 1 ? last.alias() : cat([.. chunks.SkipLast(1), last]);
        return joined.DetachFromDisposeScope();
    }

    private void Check(long row)
    {
        if (row % RowsBetweenChecks == 0)
            checkAlive();
    }

    private void RequireRows(long count, RowReader reader)
    {
        if (count > 0)
            return;
        string where = columns.Label is null ? $"the column '{columns.FeatureColumn}'" : $"the columns '{columns.FeatureColumn}' and '{columns.Label.Column}'";
        throw new InvalidOperationException(
            reader.Skipped == 0 ? $"The data set is empty: there is no row to train on in {where}." : $"There is no row to train on: {reader.SkippedDescription}.");
    }

    private void Warn(RowReader reader)
    {
        if (reader.Skipped > 0)
            warn($"{reader.SkippedDescription}. They are left out.");
    }
}
