using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>A column of the tables that are drawn from a flow: a feature, or the slots of a category that was encoded one-hot.</summary>
/// <param name="Name">The column's name, no other's.</param>
/// <param name="Slot">The feature's slot, of a category the first one.</param>
/// <param name="Categories">The names of the category's values, one a slot; null for a number.</param>
internal sealed record TableColumn(string Name, int Slot, string[]? Categories = null)
{
    /// <summary>The slots that it is made of.</summary>
    public int SlotCount => Categories?.Length ?? 1;

    /// <summary>
    /// The columns that a feature column was put together from, as far as its annotations tell: names of slots, and which of them are the
    /// values of a category; none where its slots have no names.
    /// </summary>
    /// <param name="schema">The training data's.</param>
    /// <param name="features">The feature column.</param>
    public static TableColumn[] Of(DataViewSchema schema, DataViewSchema.Column features)
    {
        if (Schemas.SlotNames(features) is not { } slots)
            return [];
        int count = slots.Length;
        Dictionary<int, int> lastOf = Schemas.CategoryRanges(schema, features).ToDictionary(range => range.First, range => range.Last);
        var columns = new List<TableColumn>();
        for (int slot = 0; slot < count; slot += columns[^1].SlotCount)
            columns.Add(lastOf.TryGetValue(slot, out int last)
                ? Category(schema, slot, slots[slot..(last + 1)])
                : new TableColumn(slots[slot], slot));
        // A name that says nothing, or that several have, gives way to one by the slot.
        HashSet<string> repeated = [.. columns.GroupBy(column => column.Name).Where(group => group.Count() > 1).Select(group => group.Key)];
        return [.. columns.Select(column => string.IsNullOrWhiteSpace(column.Name) || repeated.Contains(column.Name)
            ? Unnamed(features.Name, column.Slot) with { Categories = column.Categories } : column)];
    }

    /// <summary>The column of a feature without a name.</summary>
    public static TableColumn Unnamed(string features, int slot) => new($"{features}.{slot}", slot);

    /// <summary>The values of the column, an array of <see cref="float"/> or <see cref="string"/>.</summary>
    /// <param name="rows">The features of each row.</param>
    public Array ValuesOf(float[][] rows) => Categories is { } names
        ? rows.Select(row => names[LargestOf(row.AsSpan(Slot, names.Length))]).ToArray()
        : rows.Select(row => row[Slot]).ToArray();

    /// <summary>Slots that Concatenate has named “column.value”: the column is what the schema has such a column of.</summary>
    private static TableColumn Category(DataViewSchema schema, int first, string[] slots)
    {
        string prefix = "";
        for (int dot = slots[0].IndexOf('.'); dot > 0; dot = slots[0].IndexOf('.', dot + 1))
        {
            string candidate = slots[0][..dot];
            if (!slots.All(slot => slot.StartsWith(candidate + ".", StringComparison.Ordinal)))
                break;
            if (prefix.Length == 0 || schema.GetColumnOrNull(candidate) is not null)
                prefix = candidate;
        }
        return new TableColumn(prefix, first, prefix.Length == 0 ? slots : [.. slots.Select(slot => slot[(prefix.Length + 1)..])]);
    }

    private static int LargestOf(ReadOnlySpan<float> values)
    {
        int largest = 0;
        for (int i = 1; i < values.Length; i++)
            if (values[i] > values[largest])
                largest = i;
        return largest;
    }
}
