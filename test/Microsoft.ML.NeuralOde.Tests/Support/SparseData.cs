using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A row of few numbers that are not zero among many slots, with one label in all the forms that trainers want.</summary>
internal sealed class SparseRow
{
    public VBuffer<float> Features { get; set; }

    public bool Label { get; set; }

    public uint Class { get; set; }

    public float Target { get; set; }

    public float Weight { get; set; } = 1;
}

internal static class SparseData
{
    /// <summary>Rows of words: the first twenty slots mean true, the next twenty false, all others nothing.</summary>
    /// <param name="count">How many rows.</param>
    /// <param name="width">Slots.</param>
    /// <param name="numbers">Numbers of a row that are not zero.</param>
    /// <param name="seed">Decides the rows.</param>
    /// <param name="dense">Which rows are dense vectors; null for none.</param>
    public static List<SparseRow> Rows(int count, int width, int numbers = 12, int seed = 1, Func<int, bool>? dense = null)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            bool label = i % 2 == 0;
            var slots = new SortedSet<int> { random.Next(20) + (label ? 0 : 20), random.Next(20) + (label ? 0 : 20) };
            while (slots.Count < numbers)
                slots.Add(random.Next(40, width));
            float[] values = [.. slots.Select(_ => 1 + random.Next(3) * 0.5f)];
            return new SparseRow
            {
                Features = Vector(width, [.. slots], values, dense?.Invoke(i) ?? false), Label = label, Class = label
                ? 1u : 0u, Target = label ? 3 : -1, Weight = 1 + i % 3,
            };
        })];
    }

    public static VBuffer<float> Vector(int width, int[] slots, float[] values, bool dense = false)
    {
        var sparse = new VBuffer<float>(width, slots.Length, values, slots);
        return dense ? new VBuffer<float>(width, [.. sparse.DenseValues()]) : sparse;
    }

    public static IDataView View(MLContext mlContext, IReadOnlyList<SparseRow> rows, int width)
    {
        var schema = SchemaDefinition.Create(typeof(SparseRow));
        schema[nameof(SparseRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        schema[nameof(SparseRow.Class)].ColumnType = new KeyDataViewType(typeof(uint), 2);
        return mlContext.Data.LoadFromEnumerable(rows, schema);
    }
}
