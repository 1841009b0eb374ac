using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>
/// What samples of features with whole numbers may be: nothing smaller or larger than the training rows have, and of the slots of a
/// category exactly one.
/// </summary>
/// <param name="Least">The smallest value of each such feature.</param>
/// <param name="Most">The largest.</param>
/// <param name="Categories">The first and the last slot of each category, one after the other.</param>
internal sealed record WholeValues(float[] Least, float[] Most, int[] Categories)
{
    /// <summary>What the training rows have; null without such features.</summary>
    /// <param name="statistics">Of the training rows.</param>
    /// <param name="slots">The features.</param>
    /// <param name="table">Tells the categories.</param>
    public static WholeValues? Of(RowStatistics statistics, int[] slots, TableColumn[] table)
    {
        if (slots.Length == 0)
            return null;
        (float[] least, float[] most) = statistics.FeatureBounds();
        // A category that was rescaled on its way here has no slots of 0 and 1 any more, and one that is missing has none.
        IEnumerable<TableColumn> categories = table.Where(column => column.Categories is { } names
            && Enumerable.Range(column.Slot, names.Length).All(slot => least[slot] >= 0 && most[slot] <= 1)
            && Enumerable.Range(column.Slot, names.Length).Any(slots.Contains));
        return new WholeValues(
            [.. slots.Select(slot => least[slot])], [.. slots.Select(slot => most[slot])],
            [.. categories.SelectMany(column => new[] { column.Slot, column.Slot + column.SlotCount - 1 })]);
    }

    /// <summary>Moves what lies outside to the nearest bound, and gives a category to the largest of its slots.</summary>
    /// <param name="x">Shape <c>[rows, features]</c>, changed.</param>
    /// <param name="slots">The features.</param>
    public void Restrict(Tensor x, int[] slots)
    {
        for (int i = 0; i < Categories.Length; i += 2)
        {
            Tensor category = x.narrow(1, Categories[i], Categories[i + 1] - Categories[i] + 1);
            category.copy_(nn.functional.one_hot(category.argmax(1), category.shape[1]));
        }
        for (int i = 0; i < slots.Length; i++)
        {
            using Scalar least = Least[i], most = Most[i];
            x.select(1, slots[i]).clamp_(least, most);
        }
    }

    /// <summary>What makes no sense in values that were read, as a clause; null for nothing.</summary>
    public string? FindDefect(int slots, int features) =>
        Least.Length != slots || Most.Length != slots || Categories.Length % 2 != 0
            || Categories.Any(slot => slot < 0 || slot >= features)
            || Enumerable.Range(0, Categories.Length / 2).Any(i => Categories[2 * i] > Categories[2 * i + 1])
            ? "its whole numbers or categories make no sense" : null;
}
