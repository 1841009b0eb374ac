using System.Globalization;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>What a chapter's program finds: numbers, tables and figures, printed as they come, and put into the chapter's text.</summary>
internal sealed class TutorialPage(string folder, string prefix, Display display, FigureTheme theme, int seed = 0)
{
    /// <summary>By how much numbers of a computation in float64 may differ between machines.</summary>
    public const double Exact = 0.02;

    private readonly Dictionary<string, object> _found = new(StringComparer.Ordinal);

    public IReadOnlyCollection<string> Names => _found.Keys;

    /// <summary>The numbers, for programs.</summary>
    public IReadOnlyDictionary<string, double> Numbers =>
        _found.Where(pair => pair.Value is Fact).ToDictionary(pair => pair.Key, pair => ((Fact)pair.Value).Value, StringComparer.Ordinal);

    /// <summary>The seed of something random: its own in the documents, another where others are asked for.</summary>
    public int Seed(int own) => own + seed;

    /// <summary>A number.</summary>
    /// <param name="name">Its name in the text.</param>
    /// <param name="value">The number.</param>
    /// <param name="format">How it is written.</param>
    /// <param name="tolerance">By how much it may differ between machines; null for durations and the like.</param>
    public double Number(string name, double value, string format = "0.0e-0", double? tolerance = Exact)
    {
        var fact = new Fact(value, format, tolerance);
        _found.Add(name, fact);
        display.Line($"{name.Replace('-', ' ')}: {fact}");
        return value;
    }

    /// <summary>Words that the program chooses.</summary>
    public void Words(string name, string text) => _found.Add(name, text);

    /// <summary>A cell of a table.</summary>
    public static Fact Cell(double value, string format = "0.0e-0", double? tolerance = Exact) => new(value, format, tolerance);

    /// <summary>A table; cells are numbers or words.</summary>
    public void Table(string name, IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<object>> rows)
    {
        _found.Add("table:" + name, new PageTable(headers, rows));
        Table table = new Table().Border(TableBorder.Simple);
        foreach (string header in headers)
            table.AddColumn(Markup.Escape(header));
        foreach (IReadOnlyList<object> row in rows)
            table.AddRow([.. row.Select(cell => Markup.Escape(cell.ToString()!))]);
        display.Table(table);
    }

    /// <summary>A figure, written beside the text.</summary>
    public void Figure(string name, Figure figure, int? width = null, int? height = null)
    {
        string file = string.Create(CultureInfo.InvariantCulture, $"figures/{prefix}-{name}.png");
        figure.SavePng(Path.Combine(folder, file), width, height, theme, scale: 1.5);
        _found.Add("figure:" + name, file);
        display.Line($"figure: {file}");
    }

    /// <summary>What stands in a place of the text.</summary>
    public IEnumerable<object> Fill(string place)
    {
        string[] words = place.Split('|', 2);
        if (!_found.TryGetValue(words[0], out object? value))
            throw new InvalidOperationException($"The chapter's text asks for '{words[0]}', which its program has not found.");
        return value switch
        {
            PageTable table => table.Parts(),
            string file when words[0].StartsWith("figure:", StringComparison.Ordinal) => [$"![{words[1]}]({file})"],
            _ => [value],
        };
    }

    private sealed record PageTable(IReadOnlyList<string> Headers, IReadOnlyList<IReadOnlyList<object>> Rows)
    {
        public IEnumerable<object> Parts()
        {
            yield return $"| {string.Join(" | ", Headers)} |\n|{string.Concat(Enumerable.Repeat("---|", Headers.Count))}";
            foreach (IReadOnlyList<object> row in Rows)
            {
                yield return "\n|";
                foreach (object cell in row)
                {
                    yield return " ";
                    yield return cell;
                    yield return " |";
                }
            }
        }
    }
}
