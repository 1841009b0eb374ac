using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Digits;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>Results of a classification for human eyes.</summary>
internal static class ResultTables
{
    private const int ExamplesPerRow = 3;

    /// <summary>Rows are actual digits, columns predicted ones.</summary>
    public static Table ConfusionMatrix(ConfusionMatrix matrix)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .Title("How many of a digit (rows) were seen as which (columns)")
            .AddColumn(new TableColumn("digit").RightAligned());
        for (int digit = 0; digit < matrix.NumberOfClasses; digit++)
            table.AddColumn(new TableColumn(Text(digit)).RightAligned());
        for (int actual = 0; actual < matrix.NumberOfClasses; actual++)
            table.AddRow([Text(actual), .. matrix.Counts[actual].Select(count => count == 0 ? "·" : Text(count))]);
        return table;
    }

    /// <summary>The first digits, and the first of those that were not recognised.</summary>
    public static string Examples(MnistImages images, IReadOnlyList<DigitPrediction> predictions)
    {
        IEnumerable<int> all = Enumerable.Range(0, images.Count);
        int[] mistakes = [.. all.Where(i => predictions[i].PredictedLabel != Text(images.Labels.Span[i])).Take(ExamplesPerRow)];
        string text = Row([.. all.Take(ExamplesPerRow)]);
        return mistakes.Length == 0 ? text : $"{text}{Environment.NewLine}Not recognised:{Environment.NewLine}{Row(mistakes)}";

        string Row(int[] indices) => DigitArt.SideBySide(
            [.. indices.Select(i => (Caption(images.Labels.Span[i], predictions[i]), DigitArt.Draw(images.GetPixels(i))))]);
    }

    private static string Caption(byte label, DigitPrediction prediction) =>
        $"is {label}, seen as {prediction.PredictedLabel} ({prediction.Probability:P0})";

    private static string Text(double number) => number.ToString(CultureInfo.InvariantCulture);
}
