using OxyPlot;
using OxyPlot.SkiaSharp;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>
/// Draws and measures text in a font that comes along with the library: a server may have none, and pictures are to be the same everywhere.
/// </summary>
internal sealed class FontContext : SkiaRenderContext, IRenderContext
{
    /// <summary>The font's name and names of fonts of the same widths, for SVG.</summary>
    public const string Families = "DejaVu Sans, Verdana, Geneva, sans-serif";

    // The process has one for good: typefaces may be used by several threads.
    private static readonly Lazy<SKTypeface> Typeface = new(Load);

    private readonly SKPaint _paint = new() { IsAntialias = true, SubpixelText = true, Typeface = Typeface.Value };

    void IRenderContext.DrawText(
        ScreenPoint p, string text, OxyColor fill, string? fontFamily, double fontSize, double fontWeight, double rotation,
        HorizontalAlignment horizontalAlignment, VerticalAlignment verticalAlignment, OxySize? maxSize)
    {
        if (string.IsNullOrEmpty(text) || !fill.IsVisible())
            return;
        _paint.TextSize = (float)fontSize * DpiScale;
        _paint.Color = new SKColor(fill.R, fill.G, fill.B, fill.A);
        _paint.TextAlign = horizontalAlignment switch
        {
            HorizontalAlignment.Left => SKTextAlign.Left,
            HorizontalAlignment.Center => SKTextAlign.Center,
            _ => SKTextAlign.Right,
        };
        string[] lines = text.Split('\n');
        float height = _paint.GetFontMetrics(out SKFontMetrics metrics);
        float y = verticalAlignment switch
        {
            VerticalAlignment.Top => -metrics.Ascent,
            VerticalAlignment.Middle => -(metrics.Ascent + metrics.Descent + height * (lines.Length - 1)) / 2,
            _ => -metrics.Descent - height * (lines.Length - 1),
        };
        SkCanvas.Save();
        SkCanvas.Translate((float)p.X * DpiScale, (float)p.Y * DpiScale);
        SkCanvas.RotateDegrees((float)rotation);
        foreach (string line in lines)
        {
            SkCanvas.DrawText(line, 0, y, _paint);
            y += height;
        }
        SkCanvas.Restore();
    }

    OxySize IRenderContext.MeasureText(string text, string? fontFamily, double fontSize, double fontWeight)
    {
        if (string.IsNullOrEmpty(text))
            return OxySize.Empty;
        _paint.TextSize = (float)fontSize;
        string[] lines = text.Split('\n');
        float height = _paint.GetFontMetrics(out _);
        return new OxySize(lines.Max(line => _paint.MeasureText(line)), height * lines.Length);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _paint.Dispose();
        base.Dispose(disposing);
    }

    private static SKTypeface Load()
    {
        using Stream font = typeof(FontContext).Assembly.GetManifestResourceStream("DejaVuSans.ttf")!;
        using var data = SKData.Create(font);
        return SKTypeface.FromData(data)
            ?? throw new InvalidOperationException("The font of the figures, which is part of the library, cannot be read.");
    }
}
