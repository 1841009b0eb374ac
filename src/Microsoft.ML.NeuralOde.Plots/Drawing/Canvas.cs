using System.Text;
using OxyPlot;
using OxyPlot.SkiaSharp;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>Draws plots side by side below a title, into a PNG or an SVG. Needs neither a display nor fonts of the system.</summary>
internal static class Canvas
{
    private const double Margin = 8;
    private const double TitleHeight = 34;

    public static byte[] Png(string title, IReadOnlyList<Panel> panels, int columns, Style style, int width, int height, double scale)
    {
        using var bitmap = new SKBitmap((int)Math.Round(width * scale), (int)Math.Round(height * scale));
        using (var canvas = new SKCanvas(bitmap))
        using (var context = new FontContext { SkCanvas = canvas, RenderTarget = RenderTarget.PixelGraphic, DpiScale = (float)scale })
        {
            canvas.Clear(new SKColor(style.Background.R, style.Background.G, style.Background.B));
            Draw(context, title, panels, columns, style, width, height);
        }
        using SKData data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    public static string Svg(string title, IReadOnlyList<Panel> panels, int columns, Style style, int width, int height)
    {
        using var stream = new MemoryStream();
        using var measurer = new FontContext { RenderTarget = RenderTarget.VectorGraphic };
        // Text stays text, which can be searched and read aloud; its widths are those of the font that stands first among its names.
        using (var context = new SvgContext(stream, width, height, measurer, style.Background))
        {
            Draw(context, title, panels, columns, style, width, height);
            context.Complete();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Draw(
        IRenderContext context, string title, IReadOnlyList<Panel> panels, int columns, Style style, int width, int height)
    {
        double top = 0;
        if (title.Length > 0)
        {
            top = TitleHeight;
            context.DrawText(
                new ScreenPoint(width / 2.0, 10), title, style.Text, FontContext.Families, Style.TitleFontSize, FontWeights.Normal, 0,
                HorizontalAlignment.Center, VerticalAlignment.Top, null);
        }
        int rows = (panels.Count + columns - 1) / columns;
        double cellWidth = (double)width / columns, cellHeight = (height - top) / rows;
        for (int i = 0; i < panels.Count; i++)
        {
            var place = new OxyRect(
                i % columns * cellWidth + Margin, top + i / columns * cellHeight + Margin / 2, cellWidth - 2 * Margin, cellHeight - Margin);
            IPlotModel model = panels[i].Build(style, place.Width, place.Height);
            model.Update(true);
            model.Render(context, place);
        }
    }
}
