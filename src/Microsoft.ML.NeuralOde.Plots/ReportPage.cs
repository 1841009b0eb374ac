using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>
/// One HTML page of texts, tables and figures that needs no other file, no script and no network: to be kept with a model, sent by mail,
/// opened anywhere. It is light or dark as its reader's system is, and narrow screens get figures of their own.
/// </summary>
/// <remarks>All texts are escaped; what a model file or a column is called cannot become a part of the page.</remarks>
/// <example><code>
/// new ReportPage("My model").Section("Training").Add(Figures.TrainingCurves(model.TrainingHistory)).Save("report.html");
/// </code></example>
public sealed class ReportPage
{
    private const int NarrowScreen = 640;
    private const int NarrowFigure = 350;

    private readonly StringBuilder _body = new();
    private readonly string _title;

    /// <summary>An empty page.</summary>
    /// <param name="title">Its title.</param>
    public ReportPage(string title)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(title);
        _title = title;
    }

    /// <summary>Begins a section.</summary>
    /// <param name="heading">Its heading.</param>
    /// <returns>The page.</returns>
    public ReportPage Section(string heading) => Element("h2", heading);

    /// <summary>Adds a paragraph.</summary>
    /// <param name="text">Its text.</param>
    /// <returns>The page.</returns>
    public ReportPage Text(string text) => Element("p", text);

    /// <summary>Adds text whose spaces and lines stay as they are.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The page.</returns>
    public ReportPage Preformatted(string text) => Element("pre", text);

    /// <summary>Adds a table; columns of numbers stand to the right.</summary>
    /// <param name="header">The headings of the columns; none for a table without.</param>
    /// <param name="rows">The cells of each row, as many as the columns have.</param>
    /// <returns>The page.</returns>
    /// <exception cref="ArgumentException">A row has another number of cells than the others, or there are no rows.</exception>
    public ReportPage Table(IReadOnlyList<string> header, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        ArgumentNullException.ThrowIfNull(header);
        Checks.NotEmpty(rows, "rows", nameof(rows));
        int columns = header.Count > 0 ? header.Count : rows[0].Count;
        if (rows.FirstOrDefault(row => row.Count != columns) is { } wrong)
            throw new ArgumentException($"A row has {wrong.Count} cells; the table has {columns} columns.", nameof(rows));
        _body.Append("<div class=\"table\"><table>\n");
        if (header.Count > 0)
            _body.Append("<thead><tr>").AppendJoin("", header.Select(cell => $"<th>{Escape(cell)}</th>")).Append("</tr></thead>\n");
        _body.Append("<tbody>\n");
        bool[] isNumeric = [.. Enumerable.Range(0, columns).Select(column => rows.All(row => IsNumber(row[column])))];
        foreach (IReadOnlyList<string> row in rows)
            _body.Append("<tr>").AppendJoin("", row.Select((cell, column) => Cell(cell, isNumeric[column]))).Append("</tr>\n");
        _body.Append("</tbody></table></div>\n");
        return this;
    }

    /// <summary>Adds a figure.</summary>
    /// <param name="figure">The figure.</param>
    /// <param name="caption">What there is to see; null for nothing.</param>
    /// <returns>The page.</returns>
    public ReportPage Add(Figure figure, string? caption = null)
    {
        ArgumentNullException.ThrowIfNull(figure);
        Figure narrow = figure.Stacked(NarrowFigure);
        string onNarrow = string.Create(CultureInfo.InvariantCulture, $"(max-width: {NarrowScreen}px)");
        const string OnDark = "(prefers-color-scheme: dark)";
        _body.Append("<figure><picture>\n")
            .Append(Source($"{onNarrow} and {OnDark}", narrow, FigureTheme.Dark))
            .Append(Source(onNarrow, narrow, FigureTheme.Light))
            .Append(Source(OnDark, figure, FigureTheme.Dark))
            .Append(CultureInfo.InvariantCulture,
                $"<img src=\"{Data(figure, FigureTheme.Light)}\" alt=\"{Escape(caption ?? figure.Title)}\"/>\n")
            .Append("</picture>");
        if (caption is not null)
            _body.Append(CultureInfo.InvariantCulture, $"<figcaption>{Escape(caption)}</figcaption>");
        _body.Append("</figure>\n");
        return this;
    }

    /// <summary>The page as text: HTML that is well-formed XML, too.</summary>
    public string ToHtml() => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <meta name="color-scheme" content="light dark"/>
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/>
        <title>{Escape(_title)}</title>
        <style>
        {Style}
        </style>
        </head>
        <body>
        <main>
        <h1>{Escape(_title)}</h1>
        {_body.ToString().TrimEnd()}
        </main>
        </body>
        </html>

        """.ReplaceLineEndings("\n");

    /// <summary>Writes the page. A file that is there is replaced once the page is complete; its folder is made.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ArgumentException">The path is empty.</exception>
    /// <exception cref="IOException">The file cannot be written; the message says why.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        AtomicFile.Write(full, Encoding.UTF8.GetBytes(ToHtml()));
    }

    // The grounds are those of the figures.
    private const string Style = """
        :root { --ground: #fff; --ink: #1f2328; --soft: #5b6370; --line: #e3e6ea; --band: #f6f7f9; }
        @media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --ink: #e6edf3; --soft: #9199a5; --line: #2a313a; --band: #161b22; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
        main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
        h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
        p { max-width: 46rem; overflow-wrap: anywhere; }
        .table { overflow-x: auto; margin: .75rem 0; }
        table { border-collapse: collapse; font-size: .92rem; }
        th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem .4rem; border-bottom: 1px solid var(--line); }
        td { overflow-wrap: anywhere; min-width: 4rem; }
        td.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; white-space: nowrap; }
        th { color: var(--soft); font-weight: 600; }
        pre { overflow: auto; padding: .75rem; background: var(--band); font-size: .85rem; }
        figure { margin: 1rem 0; }
        img { display: block; max-width: 100%; height: auto; }
        figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; margin-top: .4rem; }
        @media (max-width: 30rem) { table { font-size: .75rem; } th, td { padding: .25rem .4rem .25rem .1rem; } td { min-width: 0; }
            td:first-child { overflow-wrap: normal; } }
        """;

    private ReportPage Element(string name, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _body.Append(CultureInfo.InvariantCulture, $"<{name}>{Escape(text)}</{name}>\n");
        return this;
    }

    private static string Cell(string text, bool isNumeric) => $"<td{(isNumeric ? " class=\"number\"" : "")}>{Escape(text)}</td>";

    private static bool IsNumber(string text) => text == "–"
        || double.TryParse(text.TrimEnd(' ', '%'), NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture, out _);

    private static string Source(string media, Figure figure, FigureTheme theme) =>
        $"<source media=\"{media}\" srcset=\"{Data(figure, theme)}\"/>\n";

    private static string Data(Figure figure, FigureTheme theme) =>
        $"data:image/svg+xml;base64,{Convert.ToBase64String(Encoding.UTF8.GetBytes(figure.ToSvg(theme: theme)))}";

    private static string Escape(string text) => WebUtility.HtmlEncode(PrintableText.Of(text));
}
