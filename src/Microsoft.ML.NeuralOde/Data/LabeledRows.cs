using System.Runtime.InteropServices;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The rows of a data view as tensors: features <c>[rows, features]</c> in float32 and class indices <c>[rows]</c>.</summary>
internal sealed class LabeledRows : IDisposable
{
    private const int ChunkBytes = 1 << 28;

    private LabeledRows(Tensor features, Tensor labels, long skipped)
    {
        Features = features;
        Labels = labels;
        Skipped = skipped;
    }

    public Tensor Features { get; }

    public Tensor Labels { get; }

    public long Count => Labels.shape[0];

    /// <summary>Rows without a label, which were left out.</summary>
    public long Skipped { get; }

    /// <summary>Reads all rows, one pass; they are kept in memory, four bytes a feature.</summary>
    /// <exception cref="InvalidOperationException">There are no rows, or a feature is NaN or infinite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public static LabeledRows Read(IExceptionContext context, IDataView data, string featureColumn, string labelColumn, CancellationToken cancellationToken)
    {
        DataViewSchema.Column features = FindFeatures(context, data.Schema, featureColumn);
        DataViewSchema.Column label = FindLabel(context, data.Schema, labelColumn);
        int width = ((VectorDataViewType)features.Type).Size;
        int capacity = (int)Math.Clamp(data.GetRowCount() ?? 8192, 1, Math.Max(1, ChunkBytes / (4L * width)));
        var chunks = new List<Tensor>();
        var labels = new List<long>();
        long skipped = 0;
        try
        {
            using DataViewRowCursor cursor = data.GetRowCursor([features, label]);
            ValueGetter<VBuffer<float>> getFeatures = cursor.GetGetter<VBuffer<float>>(features);
            Func<ulong> getLabel = KeyGetter(cursor, label);
            VBuffer<float> row = default;
            int used = capacity;
            while (cursor.MoveNext())
            {
                cancellationToken.ThrowIfCancellationRequested();
                ulong key = getLabel();
                if (key == 0)
                {
                    skipped++;
                    continue;
                }
                if (used == capacity)
                {
                    chunks.Add(empty([capacity, width], ScalarType.Float32).DetachFromDisposeScope());
                    used = 0;
                }
                getFeatures(ref row);
                Span<float> target = MemoryMarshal.Cast<byte, float>(chunks[^1].bytes).Slice(used * width, width);
                row.CopyTo(target);
                RequireFinite(target, featureColumn, cursor.Position);
                labels.Add((long)key - 1);
                used++;
            }
            if (labels.Count == 0)
                throw new InvalidOperationException(
                    skipped == 0
                        ? $"The data set is empty: there is no row to train on in the columns '{featureColumn}' and '{labelColumn}'."
                        : $"None of the {skipped} rows has a value in the label column '{labelColumn}'.");
            return new LabeledRows(Join(chunks, used), tensor(labels.ToArray(), ScalarType.Int64).DetachFromDisposeScope(), skipped);
        }
        finally
        {
            foreach (Tensor chunk in chunks)
                chunk.Dispose();
        }
    }

    public static DataViewSchema.Column FindFeatures(IExceptionContext context, DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", "feature", name);
        // Vector types of different dimensions are different types: item type and size are what counts.
        if (column.Type is not VectorDataViewType { IsKnownSize: true } type || !type.ItemType.Equals(NumberDataViewType.Single))
            throw Schemas.Mismatch(context, "inputSchema", "feature", name, "a vector of Single of known size", column.Type.ToString());
        return column;
    }

    public static DataViewSchema.Column FindLabel(IExceptionContext context, DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", "label", name);
        if (column.Type is not KeyDataViewType)
            throw Schemas.Mismatch(context, "inputSchema", "label", name, "a key (see mlContext.Transforms.Conversion.MapValueToKey)", column.Type.ToString());
        return column;
    }

    /// <summary>Two parts: the rows in front and the others behind, in a random order.</summary>
    public (LabeledRows Front, LabeledRows Back) Split(long front, Random random)
    {
        long[] order = [.. Enumerable.Range(0, (int)Count).Select(i => (long)i)];
        random.Shuffle(order);
        return (Take(order.AsSpan(0, (int)front)), Take(order.AsSpan((int)front)));
    }

    public void Dispose()
    {
        Features.Dispose();
        Labels.Dispose();
    }

    private LabeledRows Take(ReadOnlySpan<long> rows)
    {
        using Tensor index = tensor(rows.ToArray());
        return new LabeledRows(Features.index_select(0, index).DetachFromDisposeScope(), Labels.index_select(0, index).DetachFromDisposeScope(), 0);
    }

    private static void RequireFinite(ReadOnlySpan<float> row, string column, long position)
    {
        for (int slot = 0; slot < row.Length; slot++)
            if (!float.IsFinite(row[slot]))
                throw new InvalidOperationException(
                    $"The feature column '{column}' holds {row[slot]} in row {position}, slot {slot}; a neural ODE needs finite numbers. " +
                    "Replace missing values (mlContext.Transforms.ReplaceMissingValues) or leave the rows out (mlContext.Data.FilterRowsByMissingValues).");
    }

    private static Tensor Join(List<Tensor> chunks, int used)
    {
        using Tensor last = chunks[^1].narrow(0, 0, used);
        Tensor joined = chunks.Count == 1 ? last.alias() : cat([.. chunks.SkipLast(1), last]);
        return joined.DetachFromDisposeScope();
    }

    private static Func<ulong> KeyGetter(DataViewRow row, DataViewSchema.Column column)
    {
        Type raw = column.Type.RawType;
        return raw == typeof(uint) ? Read<uint>() : raw == typeof(byte) ? Read<byte>() : raw == typeof(ushort) ? Read<ushort>() : Read<ulong>();

        Func<ulong> Read<T>()
            where T : struct, System.Numerics.INumber<T>
        {
            ValueGetter<T> getter = row.GetGetter<T>(column);
            return () =>
            {
                T value = default;
                getter(ref value);
                return ulong.CreateChecked(value);
            };
        }
    }
}
