using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>
/// The cells of a line of a CSV file; quotation marks keep commas and, doubled, themselves (RFC 4180, without breaks of lines).
/// </summary>
internal static class CsvLine
{
    private const char Quote = '"', Separator = ',';

    /// <summary>The cells without the spaces around them.</summary>
    public static IEnumerable<string> Split(string line)
    {
        var cell = new StringBuilder();
        bool isQuoted = false;
        foreach (char letter in line)
        {
            if (letter == Quote)
            {
                // A mark that ends a quotation and begins the next at once was one in the text.
                if (!isQuoted && cell.Length > 0 && cell[^1] == '\0')
                    cell[^1] = Quote;
                else if (isQuoted)
                    cell.Append('\0');
                isQuoted = !isQuoted;
            }
            else if (letter == Separator && !isQuoted)
            {
                yield return Finished();
            }
            else
            {
                cell.Append(letter);
            }
        }
        yield return Finished();

        string Finished()
        {
            string text = cell.Replace("\0", "").ToString().Trim();
            cell.Clear();
            return text;
        }
    }

    /// <summary>A cell, in quotation marks where it needs them.</summary>
    public static string Cell(string text) =>
        text.AsSpan().IndexOfAny("\",\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
