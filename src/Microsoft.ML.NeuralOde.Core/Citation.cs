namespace Microsoft.ML.NeuralOde;

/// <summary>A publication that a method or a model comes from, as an entry for BibTeX.</summary>
/// <example>
/// Everything that a paper on the results should cite:
/// <code>File.WriteAllLines("references.bib", solution.Citations.Select(citation => citation.BibTeX));</code>
/// </example>
public sealed class Citation
{
    internal Citation(string kind, string key, params (string Field, string Value)[] fields)
    {
        Key = key;
        BibTeX = $"@{kind}{{{key},\n{string.Join(",\n", fields.Select(field => $"  {field.Field} = {{{field.Value}}}"))}\n}}";
    }

    /// <summary>The entry's key: the first author and the year, such as <c>dormand1980</c>.</summary>
    public string Key { get; }

    /// <summary>The whole entry.</summary>
    public string BibTeX { get; }

    /// <inheritdoc/>
    public override string ToString() => BibTeX;
}
