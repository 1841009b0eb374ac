using System.Globalization;
using Microsoft.ML.NeuralOde.Persistence;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Series;
using OxyPlot.SkiaSharp;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>
/// A picture of a flow in the plane: data, learned density, samples, and the way of the samples from the base distribution to the data.
/// </summary>
public static class FlowFigure
{
    private const int Panel = 400;
    private const int GridPoints = 160;
    private const int Times = 6;

    /// <summary>Draws a flow and writes the picture as PNG. The file is replaced once the picture is complete.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="flow">A flow of two features without a condition.</param>
    /// <param name="data">Points to show, shape <c>[points, 2]</c>; they also set the window.</param>
    /// <exception cref="ArgumentException">The flow does not have two features, it takes a condition, or the data have the wrong
    /// shape.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, ContinuousFlow flow, Tensor data)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(flow);
        ArgumentNullException.ThrowIfNull(data);
        if (flow.Features != 2 || flow.Conditions != 0)
            throw new ArgumentException(
                $"The flow has {flow.Features} features and {flow.Conditions} conditions; it must have 2 and 0 to be drawn.", nameof(flow));
        if (data.dim() != 2 || data.shape[1] != 2 || data.shape[0] < 2)
            throw new ArgumentException($"The data have shape [{string.Join(", ", data.shape)}]; it must be [points, 2].", nameof(data));

        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Window window = Window.Around(data);
        Tensor latent = flow.Base.Sample(data.shape[0]);
        Tensor way = flow.DecodePath(latent, Times - 1);
        int blocks = flow.Blocks.Count;

        using var surface = new SKBitmap(3 * Panel, Panel + 3 * Panel / Times);
        using (var canvas = new SKCanvas(surface))
        {
            canvas.Clear(SKColors.White);
            Draw(canvas, 0, 0, Panel, Scatter("data", data, window, 1.1));
            Draw(canvas, Panel, 0, Panel, Heat("learned density", Density(flow, window, latent.device), window));
            Draw(canvas, 2 * Panel, 0, Panel, Scatter("samples", way[-1], window, 1.1));
            for (int i = 0; i < Times; i++)
            {
                long step = i * (way.shape[0] - 1) / (Times - 1);
                double time = blocks * (1 - (double)step / (way.shape[0] - 1));
                string title = string.Create(CultureInfo.InvariantCulture, $"t = {time:0.##}");
                Draw(canvas, i * 3 * Panel / Times, Panel, 3 * Panel / Times, Scatter(title, way[step], window, 0.6));
            }
        }
        Write(path, surface);
    }

    /// <summary>p on a grid, first index x.</summary>
    private static double[,] Density(ContinuousFlow flow, Window window, Device device)
    {
        Tensor[] mesh = meshgrid([Line(window.Left, window.Right), Line(window.Bottom, window.Top)], "ij");
        Tensor points = stack([mesh[0].reshape(-1), mesh[1].reshape(-1)], 1);
        bool wasTraining = flow.training;
        flow.eval();
        try
        {
            float[] values = cat([.. points.split(4096).Select(part => flow.LogDensity(part).exp())]).to(ScalarType.Float32).cpu()
                .data<float>().ToArray();
            var grid = new double[GridPoints, GridPoints];
            for (int i = 0; i < values.Length; i++)
                grid[i / GridPoints, i % GridPoints] = values[i];
            return grid;
        }
        finally
        {
            flow.train(wasTraining);
        }

        Tensor Line(double first, double last) => linspace(first, last, GridPoints, ScalarType.Float32, device);
    }

    private static PlotModel Scatter(string title, Tensor points, Window window, double size)
    {
        float[] values = points.to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
        var series = new ScatterSeries
        {
            MarkerType = MarkerType.Circle,
            MarkerSize = size,
            MarkerFill = OxyColor.FromAColor(150, OxyColors.SteelBlue),
        };
        for (int i = 0; i < values.Length; i += 2)
            series.Points.Add(new ScatterPoint(values[i], values[i + 1]));
        PlotModel model = Model(title, window);
        model.Series.Add(series);
        return model;
    }

    private static PlotModel Heat(string title, double[,] values, Window window)
    {
        PlotModel model = Model(title, window);
        // An axis of colours without a scale beside the panel.
        model.Axes.Add(new LinearColorAxis { Position = AxisPosition.None, Palette = OxyPalettes.Viridis(256), Minimum = 0 });
        model.Series.Add(new HeatMapSeries
        {
            X0 = window.Left,
            X1 = window.Right,
            Y0 = window.Bottom,
            Y1 = window.Top,
            Data = values,
            Interpolate = true,
        });
        return model;
    }

    private static PlotModel Model(string title, Window window)
    {
        var model = new PlotModel
        {
            Title = title,
            TitleFontSize = 13,
            TitleFontWeight = FontWeights.Normal,
            PlotAreaBorderColor = OxyColors.Gray,
            Padding = new OxyThickness(4),
        };
        model.Axes.Add(Axis(AxisPosition.Bottom, window.Left, window.Right));
        model.Axes.Add(Axis(AxisPosition.Left, window.Bottom, window.Top));
        return model;
    }

    private static LinearAxis Axis(AxisPosition position, double minimum, double maximum) => new()
    {
        Position = position,
        Minimum = minimum,
        Maximum = maximum,
        FontSize = 9,
        TickStyle = TickStyle.Outside,
        AxislineColor = OxyColors.Gray,
    };

    private static void Draw(SKCanvas canvas, int x, int y, int size, PlotModel model)
    {
        using var stream = new MemoryStream();
        new PngExporter { Width = size, Height = size }.Export(model, stream);
        stream.Position = 0;
        using SKBitmap panel = SKBitmap.Decode(stream);
        canvas.DrawBitmap(panel, x, y);
    }

    private static void Write(string path, SKBitmap picture)
    {
        string full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        AtomicFile.Write(full, stream => picture.Encode(stream, SKEncodedImageFormat.Png, 100));
    }

    /// <summary>The part of the plane that is shown.</summary>
    private readonly record struct Window(double Left, double Right, double Bottom, double Top)
    {
        public static Window Around(Tensor data)
        {
            Tensor here = data.to(ScalarType.Float64).cpu();
            double[] low = here.amin(0).data<double>().ToArray(), high = here.amax(0).data<double>().ToArray();
            // A square, so that circles are round.
            double half = 0.55 * Math.Max(Math.Max(high[0] - low[0], high[1] - low[1]), 1e-6);
            double x = (low[0] + high[0]) / 2, y = (low[1] + high[1]) / 2;
            return new Window(x - half, x + half, y - half, y + half);
        }
    }
}
