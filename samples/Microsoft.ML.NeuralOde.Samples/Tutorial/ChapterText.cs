using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>
/// A chapter's text: words, written by hand, with places between « and » where what the chapter's program found is put, «name» for a
/// number, «table:name» and «figure:name|what it shows».
/// </summary>
internal sealed class ChapterText
{
    private readonly List<object> _parts = [];

    /// <param name="template">The words and places.</param>
    /// <param name="page">What goes into the places.</param>
    /// <exception cref="InvalidOperationException">A place names something that the chapter did not find, or is left out by the
    /// text.</exception>
    public ChapterText(string template, TutorialPage page)
    {
        var unused = new HashSet<string>(page.Names, StringComparer.Ordinal);
        int at = 0;
        while (template.IndexOf('«', at) is var start and >= 0)
        {
            _parts.Add(template[at..start]);
            int end = template.IndexOf('»', start);
            string place = template[(start + 1)..end];
            unused.Remove(place.Split('|')[0]);
            _parts.AddRange(page.Fill(place));
            at = end + 1;
        }
        _parts.Add(template[at..]);
        if (unused.Count > 0)
            throw new InvalidOperationException($"The chapter's text does not use {string.Join(", ", unused)}.");
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (object part in _parts)
            text.Append(part);
        return text.ToString();
    }

    /// <summary>Where a document says something else: other words, or numbers that differ by more than machines do.</summary>
    public IReadOnlyList<string> Differences(string document)
    {
        document = document.ReplaceLineEndings("\n");
        var found = new List<string>();
        int at = 0;
        foreach (object part in _parts)
        {
            if (part is Fact fact)
            {
                if (!fact.Matches(document[at..], out int length))
                    found.Add($"line {Line(document, at)}: '{Excerpt(document, at)}' should begin with {fact}");
                if (length == 0)
                    return found;
                at += length;
                continue;
            }
            string words = (string)part;
            if (string.CompareOrdinal(document, at, words, 0, words.Length) != 0)
            {
                int same = 0;
                while (at + same < document.Length && document[at + same] == words[same])
                    same++;
                found.Add($"line {Line(document, at + same)}: '{Excerpt(document, at + same)}' should be '{Excerpt(words, same)}'");
                return found;
            }
            at += words.Length;
        }
        if (at < document.Length)
            found.Add($"line {Line(document, at)}: nothing should follow");
        return found;
    }

    private static int Line(string text, int at) => 1 + text.AsSpan(0, Math.Min(at, text.Length)).Count('\n');

    private static string Excerpt(string text, int at) =>
        text.Substring(Math.Min(at, text.Length), Math.Min(40, text.Length - Math.Min(at, text.Length))).Replace('\n', ' ');
}
