using OxyPlot;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>
/// Writes SVG with its text where it belongs: OxyPlot puts the line on which letters stand where the lowest parts of letters should end.
/// </summary>
internal sealed class SvgContext(Stream stream, double width, double height, IRenderContext measurer, OxyColor background)
    : SvgRenderContext(stream, width, height, true, measurer, background, true)
{
    /// <summary>How far letters reach below their line, in heights of the font.</summary>
    private const double Descent = 0.24;

    public override void DrawText(
        ScreenPoint p, string text, OxyColor c, string fontFamily, double fontSize, double fontWeight, double rotate,
        HorizontalAlignment halign, VerticalAlignment valign, OxySize? maxSize)
    {
        double angle = rotate * Math.PI / 180, shift = Descent * fontSize;
        var place = new ScreenPoint(p.X + shift * Math.Sin(angle), p.Y - shift * Math.Cos(angle));
        base.DrawText(place, PrintableText.Of(text), c, fontFamily, fontSize, fontWeight, rotate, halign, valign, maxSize);
    }
}
