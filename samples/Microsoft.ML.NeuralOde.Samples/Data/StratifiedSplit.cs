namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>Divides rows into training and test rows so that every class has the same share in both.</summary>
internal static class StratifiedSplit
{
    /// <summary>
    /// Every <paramref name="every"/>-th row of a class is a test row. No chance is involved, and rows come out with the classes in
    /// turn, so that any number of first rows is balanced, too.
    /// </summary>
    /// <param name="labels">The class of every row.</param>
    /// <param name="every">5 tests with one row in five.</param>
    public static (int[] Train, int[] Test) Split(ReadOnlySpan<byte> labels, int every)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(every, 2);
        var seen = new int[byte.MaxValue + 1];
        var rows = new List<(int Rank, byte Label, int Index)>(labels.Length);
        for (int i = 0; i < labels.Length; i++)
            rows.Add((seen[labels[i]]++, labels[i], i));

        ILookup<bool, int> parts = rows.OrderBy(r => r.Rank).ThenBy(r => r.Label).ToLookup(r => r.Rank % every == every - 1, r => r.Index);
        return ([.. parts[false]], [.. parts[true]]);
    }
}
