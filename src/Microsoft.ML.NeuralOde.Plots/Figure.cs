using System.Text;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>
/// A picture of one plot or several, which can be written as PNG or SVG, in light or dark colours. Made by <see cref="Figures"/>;
/// immutable. Needs neither a display nor fonts of the system.
/// </summary>
/// <example><code>Figures.TrainingCurves(model.TrainingHistory).SavePng("curves.png");</code></example>
public sealed class Figure
{
    private const int PanelWidth = 460;
    private const int PanelHeight = 340;
    private const int LargestSide = 10_000;

    private readonly Panel[] _panels;
    private readonly int _columns;

    internal Figure(
        string title, IReadOnlyList<Panel> panels, int? columns = null, int panelWidth = PanelWidth, int panelHeight = PanelHeight)
    {
        Title = title;
        _panels = [.. panels];
        _columns = Math.Min(columns ?? (_panels.Length == 4 ? 2 : 3), _panels.Length);
        int rows = (_panels.Length + _columns - 1) / _columns;
        Width = _panels.Length == 1 ? Math.Max(panelWidth, 560) : _columns * panelWidth;
        Height = rows * (_panels.Length == 1 ? Math.Max(panelHeight, 380) : panelHeight);
        if (_panels.Length == 1 && panelWidth != PanelWidth)
            (Width, Height) = (panelWidth, panelHeight);
    }

    /// <summary>What it shows.</summary>
    public string Title { get; }

    /// <summary>The width that suits it, in points: 96 make an inch.</summary>
    public int Width { get; }

    /// <summary>The height that suits it, in points.</summary>
    public int Height { get; }

    internal IReadOnlyList<Panel> Panels => _panels;

    /// <summary>The same plots one below the other, for a narrow page.</summary>
    internal Figure Stacked(int width) => new(
        Title, _panels, 1, width, _panels.Length > 1 ? width * 4 / 5 : Math.Clamp(Height * width / Width, width * 3 / 4, width * 5 / 4));

    /// <summary>Several figures in one picture.</summary>
    /// <param name="title">The picture's title; empty for none.</param>
    /// <param name="columns">How many plots stand side by side.</param>
    /// <param name="figures">The figures; their plots follow each other row by row.</param>
    /// <returns>The picture.</returns>
    /// <exception cref="ArgumentException">There are no figures, or no column.</exception>
    public static Figure Combine(string title, int columns, params IReadOnlyList<Figure> figures)
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        ArgumentNullException.ThrowIfNull(figures);
        if (figures.Count == 0 || figures.Any(figure => figure is null))
            throw new ArgumentException("No figures are given, or one of them is null; there must be at least one.", nameof(figures));
        return new Figure(title, [.. figures.SelectMany(figure => figure._panels)], columns);
    }

    /// <summary>The picture as the bytes of a PNG file.</summary>
    /// <param name="width">In points; null for <see cref="Width"/>.</param>
    /// <param name="height">In points; null for <see cref="Height"/>.</param>
    /// <param name="theme">Its colours.</param>
    /// <param name="scale">Pixels a point, from 0.1 to 10: text grows along with everything.</param>
    /// <returns>The bytes.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number makes no sense; the message says what would.</exception>
    public byte[] ToPng(int? width = null, int? height = null, FigureTheme theme = FigureTheme.Light, double scale = 2)
    {
        if (!(scale is >= 0.1 and <= 10))
            throw new ArgumentOutOfRangeException(nameof(scale), scale, "The pixels a point must be a number from 0.1 to 10.");
        (int w, int h) = Size(width, height);
        return Canvas.Png(Heading, _panels, _columns, StyleOf(theme), w, h, scale);
    }

    /// <summary>The picture as the text of an SVG file.</summary>
    /// <param name="width">In points; null for <see cref="Width"/>.</param>
    /// <param name="height">In points; null for <see cref="Height"/>.</param>
    /// <param name="theme">Its colours.</param>
    /// <returns>The text, without a byte order mark.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number makes no sense; the message says what would.</exception>
    public string ToSvg(int? width = null, int? height = null, FigureTheme theme = FigureTheme.Light)
    {
        (int w, int h) = Size(width, height);
        return Canvas.Svg(Heading, _panels, _columns, StyleOf(theme), w, h).TrimStart('\uFEFF');
    }

    /// <summary>Writes the picture as PNG. A file that is there is replaced once the picture is complete; its folder is made.</summary>
    /// <param name="path">The file.</param>
    /// <param name="width">In points; null for <see cref="Width"/>.</param>
    /// <param name="height">In points; null for <see cref="Height"/>.</param>
    /// <param name="theme">Its colours.</param>
    /// <param name="scale">Pixels a point, from 0.1 to 10: text grows along with everything.</param>
    /// <exception cref="ArgumentException">A number makes no sense, or the path is empty.</exception>
    /// <exception cref="IOException">The file cannot be written; the message says why.</exception>
    public void SavePng(string path, int? width = null, int? height = null, FigureTheme theme = FigureTheme.Light, double scale = 2)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Write(path, ToPng(width, height, theme, scale));
    }

    /// <summary>Writes the picture as SVG. A file that is there is replaced once the picture is complete; its folder is made.</summary>
    /// <param name="path">The file.</param>
    /// <param name="width">In points; null for <see cref="Width"/>.</param>
    /// <param name="height">In points; null for <see cref="Height"/>.</param>
    /// <param name="theme">Its colours.</param>
    /// <exception cref="ArgumentException">A number makes no sense, or the path is empty.</exception>
    /// <exception cref="IOException">The file cannot be written; the message says why.</exception>
    public void SaveSvg(string path, int? width = null, int? height = null, FigureTheme theme = FigureTheme.Light)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Write(path, Encoding.UTF8.GetBytes(ToSvg(width, height, theme)));
    }

    /// <summary>The title above several plots; a single one has its own.</summary>
    private string Heading => _panels.Length == 1 && _panels[0].Title.Length > 0 ? "" : Title;

    private (int Width, int Height) Size(int? width, int? height)
    {
        Check(width, nameof(width));
        Check(height, nameof(height));
        return (width ?? Width, height ?? Height);

        static void Check(int? side, string name)
        {
            if (side is < 100 or > LargestSide)
                throw new ArgumentOutOfRangeException(
                    name, side, $"A picture's {name} must be a number of points from 100 to {LargestSide}.");
        }
    }

    private static Style StyleOf(FigureTheme theme) => theme switch
    {
        FigureTheme.Light => Style.Light,
        FigureTheme.Dark => Style.Dark,
        _ => throw new ArgumentOutOfRangeException(nameof(theme), theme, "The theme must be Light or Dark."),
    };

    private static void Write(string path, byte[] content)
    {
        string full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        AtomicFile.Write(full, content);
    }
}
