using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>What stands in for missing features (NaN): the medians of the values that rows have.</summary>
internal sealed class FeatureFilling
{
    private const int MostRows = 20_000;
    private const int MostNumbers = 1 << 26;

    /// <summary>A number a slot; empty before they are learned.</summary>
    public float[] Values { get; private set; } = [];

    /// <summary>Finds the medians: of all rows or, where there are many, of some that are drawn, the same each time.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="columns">Their columns.</param>
    /// <param name="checkAlive">Throws where the training is to end.</param>
    /// <exception cref="InvalidOperationException">A slot has no value in any row.</exception>
    public void Learn(IDataView data, RowColumns columns, Action checkAlive)
    {
        DataViewSchema.Column features = columns.FindFeatures(data.Schema);
        int width = ((VectorDataViewType)features.Type).Size, most = Math.Clamp(MostNumbers / width, 1, MostRows);
        var sample = new List<float[]>();
        var random = new Random(0);
        using (DataViewRowCursor cursor = data.GetRowCursor([features]))
        {
            var reader = new VectorReader(cursor, features, "feature");
            float[] row = new float[width];
            for (long read = 0; cursor.MoveNext(); read++)
            {
                checkAlive();
                reader.Read(row);
                long place = read < most ? read : random.NextInt64(read + 1);
                if (place == sample.Count)
                    sample.Add([.. row]);
                else if (place < most)
                    row.CopyTo(sample[(int)place], 0);
            }
        }
        Values = [.. Enumerable.Range(0, width).Select(slot =>
            Median([.. sample.Select(row => row[slot]).Where(float.IsFinite).Order()])
            ?? throw new InvalidOperationException(
                $"The feature column '{columns.FeatureColumn}' has no value in slot {slot} in any of {sample.Count} rows, so that nothing "
                + "can stand in for one that is missing. Leave this slot out."))];
    }

    /// <summary>
    /// Puts numbers in the place of those that are missing; a row in which all are missing stays as it is, for it says nothing.
    /// </summary>
    public static void Fill(Span<float> row, ReadOnlySpan<float> values)
    {
        bool hasGap = false, hasValue = false;
        foreach (float value in row)
        {
            hasGap |= float.IsNaN(value);
            hasValue |= !float.IsNaN(value);
        }
        if (!hasGap || !hasValue)
            return;
        for (int slot = 0; slot < row.Length; slot++)
            if (float.IsNaN(row[slot]))
                row[slot] = values[slot];
    }

    // The lower one of two in the middle: a value that occurs.
    private static float? Median(float[] sorted) => sorted.Length == 0 ? null : sorted[(sorted.Length - 1) / 2];
}
