using System.Globalization;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

public static partial class Figures
{
    private const int DensityGrid = 120;
    private const int FlowTimes = 6;

    /// <summary>A density of the plane as a map, beside points that come from it, and beside the true density where that is
    /// known.</summary>
    /// <param name="logDensity">log p of points of shape <c>[rows, 2]</c>, shape <c>[rows]</c>: a flow's <c>LogDensity</c>.</param>
    /// <param name="data">Points to show, shape <c>[rows, 2]</c>; they also set the window.</param>
    /// <param name="trueLogDensity">The same as <paramref name="logDensity"/> of the density that the points come from; null where it is
    /// not known.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">The points are not <c>[rows, 2]</c>, or a density returns another shape.</exception>
    public static Figure Density(Func<Tensor, Tensor> logDensity, Tensor data, Func<Tensor, Tensor>? trueLogDensity = null)
    {
        ArgumentNullException.ThrowIfNull(logDensity);
        var window = Window.Around(data);
        var panels = new List<Panel> { Cloud("data", data, window) };
        AddMaps(panels, logDensity, trueLogDensity, window, data);
        return new Figure("Density", panels, panels.Count, 340, 350);
    }

    /// <summary>
    /// A flow of the plane: data, learned density, and the way of samples from the base distribution to the data.
    /// </summary>
    /// <param name="flow">A flow of two features without a condition.</param>
    /// <param name="data">Points to show, shape <c>[rows, 2]</c>; they also set the window, and as many samples are drawn.</param>
    /// <param name="trueLogDensity">log p of points of shape <c>[rows, 2]</c> of the density that the points come from; null where it is
    /// not known.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">The flow does not have two features, it takes a condition, or the data have the wrong
    /// shape.</exception>
    public static Figure Flow(ContinuousFlow flow, Tensor data, Func<Tensor, Tensor>? trueLogDensity = null)
    {
        ArgumentNullException.ThrowIfNull(flow);
        if (flow.Features != 2 || flow.Conditions != 0)
            throw new ArgumentException(
                $"The flow has {flow.Features} features and {flow.Conditions} conditions; it must have 2 and 0 to be drawn.", nameof(flow));
        var window = Window.Around(data);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor latent = flow.Base.Sample(data.shape[0]);
        Tensor way = flow.DecodePath(latent, FlowTimes - 1);
        bool wasTraining = flow.training;
        flow.eval();
        try
        {
            var panels = new List<Panel> { Cloud("data", data, window) };
            AddMaps(panels, points => flow.LogDensity(points), trueLogDensity, window, data);
            for (int i = 0; i < FlowTimes; i++)
            {
                long step = i * (way.shape[0] - 1) / (FlowTimes - 1);
                double time = flow.Blocks.Count * (1 - (double)step / (way.shape[0] - 1));
                string what = i == 0 ? "base, " : i == FlowTimes - 1 ? "samples, " : "";
                panels.Add(Cloud(string.Create(CultureInfo.InvariantCulture, $"{what}t = {time:0.##}"), way[step], window));
            }
            return new Figure("", panels, trueLogDensity is null ? 4 : 3, 300, 310);
        }
        finally
        {
            flow.train(wasTraining);
        }
    }

    private static Panel Cloud(string title, Tensor points, Window window)
    {
        double[] numbers = Tensors.Numbers(points);
        double[] x = [.. numbers.Where((_, i) => i % 2 == 0)], y = [.. numbers.Where((_, i) => i % 2 == 1)];
        return new Panel(title, "x₁", "x₂") { XRange = (window.Left, window.Right), YRange = (window.Bottom, window.Top) }
            .Points(null, x, y, 0, size: x.Length > 1500 ? 1.1 : 1.8, alpha: 150);
    }

    /// <summary>The true density, where it is known, and the learned one in the same colours.</summary>
    private static void AddMaps(
        List<Panel> panels, Func<Tensor, Tensor> logDensity, Func<Tensor, Tensor>? trueLogDensity, Window window, Tensor like)
    {
        double highest = double.NaN;
        if (trueLogDensity is not null)
        {
            double[,] values = Densities(trueLogDensity, window, like);
            highest = values.Cast<double>().Max();
            panels.Add(Map("true density", values, window, highest));
        }
        panels.Add(Map("learned density", Densities(logDensity, window, like), window, highest));
    }

    private static Panel Map(string title, double[,] values, Window window, double highest) =>
        new Panel(title, "x₁", "x₂") { XRange = (window.Left, window.Right), YRange = (window.Bottom, window.Top) }
            .Heat(values, (window.Left, window.Right), (window.Bottom, window.Top), smooth: true, range: (0, highest));

    /// <summary>p on a grid, first index x.</summary>
    private static double[,] Densities(Func<Tensor, Tensor> logDensity, Window window, Tensor like)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] mesh = meshgrid([Line(window.Left, window.Right), Line(window.Bottom, window.Top)], "ij");
        Tensor points = stack([mesh[0].reshape(-1), mesh[1].reshape(-1)], 1);
        var grid = new double[DensityGrid, DensityGrid];
        int done = 0;
        foreach (Tensor part in points.split(4096))
        {
            Tensor logs = logDensity(part);
            if (logs is null || logs.dim() != 1 || logs.shape[0] != part.shape[0])
            {
                string found = logs is null ? "null" : $"shape [{string.Join(", ", logs.shape)}]";
                throw new ArgumentException(
                    $"The density returns {found} for {part.shape[0]} points; it must be [{part.shape[0]}].", nameof(logDensity));
            }
            foreach (double value in Tensors.Numbers(logs))
            {
                double p = Math.Exp(value);
                grid[done / DensityGrid, done % DensityGrid] = double.IsFinite(p) ? p : 0;
                done++;
            }
        }
        return grid;

        Tensor Line(double first, double last) => linspace(first, last, DensityGrid, like.dtype, like.device);
    }

    /// <summary>The part of the plane that is shown.</summary>
    private readonly record struct Window(double Left, double Right, double Bottom, double Top)
    {
        public static Window Around(Tensor data)
        {
            Tensors.Require(data, 2, "[rows, 2]", nameof(data));
            if (data.shape[1] != 2 || data.shape[0] < 2)
                throw new ArgumentException(
                    $"The data have shape [{string.Join(", ", data.shape)}]; it must be [rows, 2], two rows or more.", nameof(data));
            double[] numbers = Tensors.Numbers(data);
            double[] x = [.. numbers.Where((_, i) => i % 2 == 0)], y = [.. numbers.Where((_, i) => i % 2 == 1)];
            // A square, so that circles are round.
            double half = 0.55 * Math.Max(Math.Max(x.Max() - x.Min(), y.Max() - y.Min()), 1e-6);
            double middleX = (x.Min() + x.Max()) / 2, middleY = (y.Min() + y.Max()) / 2;
            return new Window(middleX - half, middleX + half, middleY - half, middleY + half);
        }
    }
}
