using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>Draws digits with block characters, two rows of pixels in a line of text.</summary>
internal static class DigitArt
{
    /// <summary>Digits of MNIST keep a margin; the middle shows them.</summary>
    private const int Margin = 3;
    private const int Size = MnistDataset.ImageSize - 2 * Margin;
    private const int Threshold = 96;
    private const string Blocks = " ▀▄█"; // Neither, upper, lower, both.

    /// <summary>Draws one digit: 11 lines of 22 characters.</summary>
    public static string[] Draw(ReadOnlySpan<byte> pixels)
    {
        var lines = new string[Size / 2];
        Span<char> text = stackalloc char[Size];
        for (int line = 0; line < lines.Length; line++)
        {
            for (int x = 0; x < Size; x++)
            {
                int upper = (Margin + 2 * line) * MnistDataset.ImageSize + Margin + x;
                int lower = upper + MnistDataset.ImageSize;
                text[x] = Blocks[(pixels[upper] > Threshold ? 1 : 0) + (pixels[lower] > Threshold ? 2 : 0)];
            }
            lines[line] = text.ToString();
        }
        return lines;
    }

    /// <summary>Puts digits side by side, each with its caption above it.</summary>
    public static string SideBySide(IReadOnlyList<(string Caption, string[] Lines)> digits)
    {
        var text = new StringBuilder();
        AppendRow(digits.Select(d => d.Caption));
        for (int line = 0; line < Size / 2; line++)
            AppendRow(digits.Select(d => d.Lines[line]));
        return text.ToString();

        void AppendRow(IEnumerable<string> cells) =>
            text.AppendLine(string.Join("   ", cells.Select(c => c.PadRight(Size))).TrimEnd());
    }
}
