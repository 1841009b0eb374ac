using System.Globalization;
using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>A number that a chapter prints and that its text repeats.</summary>
/// <param name="Value">The number.</param>
/// <param name="Format">How it is written, with the invariant culture.</param>
/// <param name="Tolerance">
/// By how much of itself it may differ from machine to machine, beside rounding; null for what no two runs have in common, such as a
/// duration.
/// </param>
internal sealed partial record Fact(double Value, string Format, double? Tolerance)
{
    public override string ToString() => Value.ToString(Format, CultureInfo.InvariantCulture);

    /// <summary>Reads the number at the beginning of a text and says whether it is this one.</summary>
    /// <param name="text">What a document says.</param>
    /// <param name="length">How long its number is; 0 where there is none.</param>
    public bool Matches(string text, out int length)
    {
        Match match = Number().Match(text);
        length = match.Length;
        if (!match.Success)
            return double.IsNaN(Value) && text.StartsWith(ToString(), StringComparison.Ordinal) && (length = ToString().Length) > 0;
        string digits = match.Value.Replace(",", "", StringComparison.Ordinal);
        // Percentages are written from shares.
        double scale = Format.StartsWith('P') ? 100 : 1;
        double written = double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture);
        int exponentAt = digits.IndexOf('e', StringComparison.OrdinalIgnoreCase), pointAt = digits.IndexOf('.', StringComparison.Ordinal);
        int decimals = pointAt < 0 ? 0 : (exponentAt < 0 ? digits.Length : exponentAt) - pointAt - 1;
        int exponent = exponentAt < 0 ? 0 : int.Parse(digits[(exponentAt + 1)..], CultureInfo.InvariantCulture);
        double rounding = 0.51 * Math.Pow(10, exponent - decimals);
        return Tolerance is not { } tolerance || Math.Abs(written - scale * Value) <= tolerance * Math.Abs(scale * Value) + rounding;
    }

    [GeneratedRegex(@"\A-?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)?(e[-+]?[0-9]+)?", RegexOptions.IgnoreCase)]
    private static partial Regex Number();
}
