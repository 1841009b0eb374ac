namespace Microsoft.ML.NeuralOde.Samples;

/// <summary>Finds the name that was probably meant.</summary>
internal static class NearMiss
{
    /// <summary>" Did you mean 'name'?", or nothing where no name is near.</summary>
    public static string Hint(string text, IEnumerable<string> names) => Find(text, names) is { } name ? $" Did you mean '{name}'?" : "";

    /// <summary>
    /// The name that the text begins, or that differs from it by the fewest characters, at most one in three; null for none.
    /// </summary>
    public static string? Find(string text, IEnumerable<string> names)
    {
        string wanted = text.Trim().ToLowerInvariant();
        if (wanted.Length < 2)
            return null;
        return names.Select(name => (Name: name, Distance: Distance(wanted, name.ToLowerInvariant())))
            .Where(candidate => candidate.Distance <= Math.Max(1, candidate.Name.Length / 3))
            .OrderBy(candidate => candidate.Distance)
            .Select(candidate => candidate.Name)
            .FirstOrDefault()
            ?? names.FirstOrDefault(name => name.StartsWith(wanted, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>Insertions, deletions and substitutions from one text to another (V. I. Levenshtein 1966).</summary>
    private static int Distance(string from, string to)
    {
        int[] row = [.. Enumerable.Range(0, to.Length + 1)];
        for (int i = 1; i <= from.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= to.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
