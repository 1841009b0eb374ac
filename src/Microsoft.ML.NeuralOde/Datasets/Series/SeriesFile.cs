using System.Globalization;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>A text file of series, read line by line: comments are left out, and errors name the line.</summary>
/// <param name="path">The file.</param>
internal sealed class SeriesFile(string path)
{
    /// <summary>The lines that say something, with their numbers from 1.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public IEnumerable<(int Number, string Text)> Lines()
    {
        int number = 0;
        foreach (string line in File.ReadLines(path))
        {
            number++;
            string text = line.Trim();
            if (text.Length > 0 && text[0] is not ('#' or '%'))
                yield return (number, text);
        }
    }

    /// <summary>What is said of a line that is wrong.</summary>
    /// <param name="line">Its number.</param>
    /// <param name="what">What is wrong, as a sentence without its full stop.</param>
    public InvalidDataException Wrong(int line, string what) => new($"'{path}', line {line}: {what}.");

    /// <summary>What is said of a file that is not of its format.</summary>
    /// <inheritdoc cref="Wrong(int, string)"/>
    public InvalidDataException Wrong(string what) => new($"'{path}': {what}.");

    /// <summary>A tag's word that is true or false.</summary>
    public bool ReadBoolean(int line, string tag, string text) =>
        bool.TryParse(text, out bool value) ? value : throw Wrong(line, $"{tag} is '{text}'; true or false would be right");

    /// <summary>A tag's number, which must be positive.</summary>
    public int ReadCount(int line, string tag, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value > 0
            ? value
            : throw Wrong(line, $"{tag} is '{text}'; a positive whole number would be right");

    /// <summary>An observed value; NaN for “?”, which is missing.</summary>
    /// <param name="line">The line's number.</param>
    /// <param name="text">The value's text.</param>
    /// <param name="place">Its place among the values of its channel, from 0.</param>
    /// <param name="channel">The channel, from 0.</param>
    public float ReadValue(int line, ReadOnlySpan<char> text, int place, int channel)
    {
        text = text.Trim();
        if (text is "?" || text.Equals("NaN", StringComparison.OrdinalIgnoreCase))
            return float.NaN;
        if (float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value))
            return value;
        throw Wrong(line,
            $"value {place + 1} of channel {channel + 1} is '{Shorten(text)}'; a finite number, or ? for a missing one, would be right");
    }

    /// <summary>A text that is quoted in a message.</summary>
    public static string Shorten(ReadOnlySpan<char> text) => text.Length <= 40 ? text.ToString() : $"{text[..40]}…";
}
