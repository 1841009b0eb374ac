using System.Globalization;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Options in words, the same in every culture.</summary>
internal static class OptionText
{
    public static string Of(double number) => number.ToString("g6", CultureInfo.InvariantCulture);

    /// <summary>The parts that there are, with commas between them.</summary>
    public static string Join(params ReadOnlySpan<string?> parts)
    {
        var found = new List<string>();
        foreach (string? part in parts)
            if (part is not null)
                found.Add(part);
        return string.Join(", ", found);
    }
}
