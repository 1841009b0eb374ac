namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>The part of a document that a command writes, between two comments; what people wrote around it stays.</summary>
internal static class DocumentSection
{
    private const string End = "<!-- end of results -->";

    /// <param name="document">The document; null where there is none yet.</param>
    /// <param name="command">The command's name.</param>
    /// <param name="content">What it has to say.</param>
    /// <returns>The document with the command's part replaced, or added at its end.</returns>
    public static string Replace(string? document, string command, string content)
    {
        document ??= "# Performance\n";
        string begin = $"<!-- results: written by the command {command} -->";
        string section = $"{begin}\n{content.TrimEnd()}\n{End}";
        int start = document.IndexOf(begin, StringComparison.Ordinal);
        if (start < 0)
            return $"{document.TrimEnd()}\n\n{section}\n";
        int end = document.IndexOf(End, start, StringComparison.Ordinal);
        return document[..start] + section + (end < 0 ? "\n" : document[(end + End.Length)..]);
    }

    /// <summary>Replaces the command's part of a file.</summary>
    public static void Write(string file, string command, string content) =>
        File.WriteAllText(file, Replace(File.Exists(file) ? File.ReadAllText(file) : null, command, content));
}
