namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The features of one row, as they are read and kept; belong to whoever gave them, until that moves on.</summary>
/// <param name="values">The numbers.</param>
/// <param name="slots">Where in the vector they stand, ascending; empty where all numbers are there, in their order.</param>
internal readonly ref struct RowValues(ReadOnlySpan<float> values, ReadOnlySpan<int> slots)
{
    public ReadOnlySpan<float> Values { get; } = values;

    public ReadOnlySpan<int> Slots { get; } = slots;

    /// <summary>The slot of the first number that is missing or infinite, and the number; null where all are finite.</summary>
    public (int Slot, float Value)? FindNotFinite()
    {
        for (int i = 0; i < Values.Length; i++)
            if (!float.IsFinite(Values[i]))
                return (Slots.IsEmpty ? i : Slots[i], Values[i]);
        return null;
    }
}

/// <summary>Reads the features of the row that a cursor stands on.</summary>
internal interface IFeatureReader
{
    /// <summary>Reads the current row.</summary>
    /// <exception cref="InvalidOperationException">The vector has another length than its type.</exception>
    RowValues Read();

    /// <summary>What <see cref="Read"/> gave last.</summary>
    RowValues Current { get; }
}

/// <summary>
/// What the features of a row are to a training: how they are read, counted, held in memory or in a pool, and handed out in batches.
/// Everything else (labels, weights, orders, parts, budgets) is the same for all formats.
/// </summary>
/// <param name="width">The numbers of a row's vector.</param>
internal abstract class RowFormat(int width)
{
    public int Width { get; } = width;

    /// <summary>Whether rows are kept without their zeros.</summary>
    public abstract bool IsSparse { get; }

    /// <summary>Reads the feature columns in this format.</summary>
    public abstract IFeatureReader Open(DataViewRow row, RowColumns columns);

    /// <summary>Why a row cannot be used, as a clause; null where it can.</summary>
    /// <param name="row">The row.</param>
    /// <param name="position">Its number, from 0.</param>
    public virtual string? FindGap(RowValues row, long position) =>
        row.FindNotFinite() is { } bad ? $"{bad.Value} in row {position}, slot {bad.Slot}" : null;

    /// <summary>Says how many rows could not be used.</summary>
    /// <param name="rows">How many.</param>
    /// <param name="first">What <see cref="FindGap"/> said of the first.</param>
    /// <param name="column">The feature column.</param>
    public virtual string DescribeGaps(long rows, string first, string column) =>
        $"{rows} rows have values in the feature column '{column}' that are missing or infinite, " +
        $"{first} first (mlContext.Transforms.ReplaceMissingValues would keep them)";

    /// <summary>What a row takes in memory, in bytes.</summary>
    public abstract long BytesOf(RowValues row);

    public abstract FeatureStatistics CreateStatistics();

    /// <summary>
    /// One row as there could be, of rows of which these are the statistics: it stands where a computation needs a row that counts for
    /// nothing.
    /// </summary>
    public abstract FeatureBatch CreateTypical(FeatureStatistics statistics, long count);

    /// <summary>Room for rows one after the other.</summary>
    /// <param name="expected">How many will come; null where that is not known.</param>
    public abstract FeatureStore CreateStore(long? expected);

    /// <summary>A fixed number of places for rows.</summary>
    public abstract FeaturePool CreatePool(int rows);

    /// <summary>How many rows there can be in a pool at most.</summary>
    public abstract long MostPoolRows { get; }
}

/// <summary>The features of some rows as tensors in float32.</summary>
internal abstract class FeatureBatch : IDisposable
{
    /// <summary>The number of rows.</summary>
    public abstract long Count { get; }

    /// <summary>The slots that have a number in one of the rows, ascending; null where that is not asked, since all have.</summary>
    public virtual long[]? UsedSlots => null;

    /// <summary>The same rows on a device; in the caller's dispose scope.</summary>
    public abstract FeatureBatch To(Device device);

    /// <summary>All numbers, zeros too, shape <c>[rows, features]</c>; in the caller's dispose scope.</summary>
    public abstract Tensor ToDense();

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>Takes rows one by one.</summary>
internal delegate void RowVisitor(long row, RowValues values);

/// <summary>The features of rows that are held in memory.</summary>
internal abstract class FeatureStore : IDisposable
{
    public abstract long Count { get; }

    /// <summary>Where batches are made.</summary>
    public virtual Device Device => CPU;

    public abstract void Add(RowValues row);

    /// <summary>After the last row.</summary>
    public virtual void Complete()
    {
    }

    /// <summary>Rows that follow each other.</summary>
    public abstract FeatureBatch Slice(long first, long count);

    /// <summary>Rows in any order.</summary>
    /// <param name="rows">Their numbers.</param>
    /// <param name="index">The same numbers as a tensor on <see cref="Device"/>.</param>
    public abstract FeatureBatch Take(ReadOnlySpan<long> rows, Tensor index);

    /// <summary>A store of some of the rows.</summary>
    /// <inheritdoc cref="Take"/>
    public abstract FeatureStore Select(ReadOnlySpan<long> rows, Tensor index);

    /// <summary>Changes a random order so that batches are made of rows that cost least together; nothing where all rows are
    /// alike.</summary>
    /// <param name="order">The numbers of all rows.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="random">Decides what is left to chance.</param>
    public virtual void Arrange(long[] order, int batchSize, Random random)
    {
    }

    /// <summary>Shows all rows in their order; the store must lie in the host's memory.</summary>
    public abstract void Visit(RowVisitor visitor);

    /// <summary>The same rows for a device, another store or this one.</summary>
    public abstract FeatureStore MoveTo(Device device);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>Places for the features of rows, which are filled again and again.</summary>
internal abstract class FeaturePool
{
    /// <summary>The row in a place.</summary>
    public abstract RowValues Row(int place);

    public abstract void Set(int place, RowValues row);

    /// <summary>The first rows; the caller disposes of them.</summary>
    public abstract FeatureBatch ToBatch(int rows);
}

/// <summary>What is known of the features of all rows after one pass.</summary>
internal abstract class FeatureStatistics
{
    public abstract void Add(RowValues row);

    /// <summary>Takes over what was seen of other rows, which come behind these.</summary>
    /// <param name="other">Statistics of the same format.</param>
    /// <param name="count">How many rows these were made of.</param>
    /// <param name="otherCount">How many rows the others were made of.</param>
    public abstract void Merge(FeatureStatistics other, long count, long otherCount);

    public abstract void Write(BinaryWriter writer);

    /// <summary>Takes what was written of rows of the same format, instead of what is here.</summary>
    public abstract void Read(BinaryReader reader);

    /// <summary>What to subtract from features and what to multiply the difference by.</summary>
    public abstract (float[] Mean, float[] Scale) Normalization(FeatureNormalization normalization, long count);

    /// <summary>What is known of each slot by itself; there where all numbers of a row are kept.</summary>
    public virtual Moments Slots => throw new NotSupportedException("The slots of such features are not looked at one by one.");

    /// <summary>The mean time from a series' first observation to its last, in units of its times; there where rows are series.</summary>
    public virtual double MeanSpan => throw new NotSupportedException("Rows that are vectors have no time.");
}
