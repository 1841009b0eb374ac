using System.Text;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>Texts as XML and HTML may hold them.</summary>
internal static class PrintableText
{
    /// <summary>The text with U+FFFD, which stands for such signs, in place of control characters and of halves of characters.</summary>
    public static string Of(string text)
    {
        var printable = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
            printable.Append(IsPrintable(rune) ? rune : Rune.ReplacementChar);
        return printable.ToString();
    }

    private static bool IsPrintable(Rune rune) =>
        rune.Value is '\n' or '\t' or '\r' || !(Rune.IsControl(rune) || rune.Value is 0xFFFE or 0xFFFF);
}
