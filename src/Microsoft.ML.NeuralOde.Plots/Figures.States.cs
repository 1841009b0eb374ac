using System.Globalization;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

public static partial class Figures
{
    /// <summary>
    /// The ways of hidden states through the plane in which they spread most (the first two principal components of all of them), coloured
    /// by class.
    /// </summary>
    /// <param name="states">States at increasing times, shape <c>[times, rows, features]</c>: what <c>Ode.Solve(…).States</c> is.</param>
    /// <param name="classes">The class of each row, from 0.</param>
    /// <param name="names">Names of the classes; null for their numbers.</param>
    /// <param name="title">What the plot shows.</param>
    /// <returns>The figure: each way as a line that ends in a dot.</returns>
    /// <exception cref="ArgumentException">Shapes or numbers make no sense; the message says which and what would.</exception>
    public static Figure Trajectories(
        Tensor states, IReadOnlyList<int> classes, IReadOnlyList<string>? names = null, string title = "hidden states")
    {
        Tensors.Require(states, 3, "[times, rows, features]", nameof(states));
        ArgumentNullException.ThrowIfNull(classes);
        ArgumentNullException.ThrowIfNull(title);
        int times = (int)states.shape[0], rows = (int)states.shape[1], features = (int)states.shape[2];
        if (classes.Count != rows)
            throw new ArgumentException($"There are {classes.Count} classes for {rows} rows; there must be one for each.", nameof(classes));
        if (classes.Any(number => number < 0 || (names is not null && number >= names.Count)))
            throw new ArgumentException(
                $"A class is negative or has no name; classes must be numbers from 0{(names is null ? "" : $" to {names.Count - 1}")}.",
                nameof(classes));
        (double[,] plane, double share) = Plane(states);
        bool isPlane = features <= 2;
        string suffix = isPlane ? "" : string.Create(CultureInfo.InvariantCulture, $" ({100 * share:F0} % of the variance)");
        string kind = isPlane ? "component" : "principal component";
        var panel = new Panel(title + suffix, $"first {kind}", $"second {kind}");
        byte alpha = (byte)Math.Clamp(255.0 * 40 / rows, 60, 200);
        foreach (int number in classes.Distinct().Order())
        {
            int[] members = [.. Enumerable.Range(0, rows).Where(row => classes[row] == number)];
            foreach (int row in members)
            {
                double[] x = [.. Enumerable.Range(0, times).Select(time => plane[time * rows + row, 0])];
                double[] y = [.. Enumerable.Range(0, times).Select(time => plane[time * rows + row, 1])];
                panel.Line(null, x, y, number, thickness: 1, alpha: alpha);
            }
            int last = (times - 1) * rows;
            panel.Points(names?[number] ?? number.ToString(CultureInfo.InvariantCulture),
                [.. members.Select(row => plane[last + row, 0])], [.. members.Select(row => plane[last + row, 1])], number, size: 3.5);
        }
        return new Figure(title, [panel], panelWidth: 560, panelHeight: 460);
    }

    /// <summary>The directions of an equation in the plane, and solutions through it.</summary>
    /// <param name="dynamics">f(t, y) for states of shape <c>[rows, 2]</c>.</param>
    /// <param name="time">The time at which the directions are those of f.</param>
    /// <param name="window">The part of the plane: least and largest x, least and largest y.</param>
    /// <param name="paths">Solutions to draw, shape <c>[times, rows, 2]</c>; null for none.</param>
    /// <param name="classes">The class of each solution, from 0, for its colour; null for one colour.</param>
    /// <param name="title">What the plot shows.</param>
    /// <returns>The figure: arrows as long as the directions are fast, up to a limit.</returns>
    /// <exception cref="ArgumentException">The window is empty, or a shape makes no sense.</exception>
    public static Figure VectorField(
        Func<Tensor, Tensor, Tensor> dynamics, double time, (double Left, double Right, double Bottom, double Top) window,
        Tensor? paths = null,
        IReadOnlyList<int>? classes = null, string title = "vector field")
    {
        const int Grid = 17;
        ArgumentNullException.ThrowIfNull(dynamics);
        ArgumentNullException.ThrowIfNull(title);
        if (!(window.Right > window.Left && window.Top > window.Bottom)
            || !double.IsFinite(window.Right - window.Left + window.Top - window.Bottom))
            throw new ArgumentException(
                $"The window {window} is empty or not finite; it must be left < right, bottom < top.", nameof(window));
        double stepX = (window.Right - window.Left) / (Grid - 1), stepY = (window.Top - window.Bottom) / (Grid - 1);
        var panel = new Panel(title, "first component", "second component")
        {
            XRange = (window.Left - stepX / 2, window.Right + stepX / 2),
            YRange = (window.Bottom - stepY / 2, window.Top + stepY / 2),
        };
        var points = new double[2 * Grid * Grid];
        for (int i = 0; i < Grid * Grid; i++)
            (points[2 * i], points[2 * i + 1]) = (window.Left + i % Grid * stepX, window.Bottom + i / Grid * stepY);
        double[] rates = Rates(dynamics, time, points, paths);
        // Lengths in units of the grid, so that arrows do not cross their neighbours; most of the field is drawn to scale.
        var speeds = new double[Grid * Grid];
        for (int i = 0; i < speeds.Length; i++)
            speeds[i] = Math.Sqrt(Square(rates[2 * i] / stepX) + Square(rates[2 * i + 1] / stepY));
        double unit = Math.Max(speeds.Order().ElementAt(speeds.Length * 3 / 4), 1e-12);
        for (int i = 0; i < speeds.Length; i++)
        {
            if (speeds[i] < 0.02 * unit)
                continue;
            double length = 0.85 * Math.Min(speeds[i] / unit, 1) / speeds[i];
            panel.Arrow(points[2 * i] - length * rates[2 * i] / 2, points[2 * i + 1] - length * rates[2 * i + 1] / 2,
                points[2 * i] + length * rates[2 * i] / 2, points[2 * i + 1] + length * rates[2 * i + 1] / 2, -1, thickness: 1,
                head: 4, alpha: 170);
        }
        if (paths is not null)
            AddPaths(panel, paths, classes);
        return new Figure(title, [panel], panelWidth: 520, panelHeight: 460);

        static double Square(double value) => value * value;
    }

    /// <summary>A residual network beside the equation that it becomes with ever more layers: the same state through both.</summary>
    /// <param name="layers">The state behind each layer, the input first.</param>
    /// <param name="times">Times of the solution; layers are spread evenly over the same interval.</param>
    /// <param name="solution">The state at these times.</param>
    /// <param name="yLabel">What the state is.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">Lists differ in length or cannot be drawn.</exception>
    public static Figure ResNetAgainstOde(
        IReadOnlyList<double> layers, IReadOnlyList<double> times, IReadOnlyList<double> solution, string yLabel = "hidden state h")
    {
        Checks.NotEmpty(layers, "layers", nameof(layers));
        Checks.Curve(times, solution, "The solution", nameof(solution));
        double[] index = [.. Enumerable.Range(0, layers.Count).Select(i => (double)i)];
        Checks.Curve(index, layers, "The list of layers", nameof(layers));
        double span = times[^1] - times[0];
        double[] places = [.. index.Select(i => times[0] + span * i / Math.Max(1, layers.Count - 1))];
        var discrete = new Panel("residual network: layer by layer", "layer", yLabel);
        // A residual block adds to what it got: a stair.
        double[] stairX = [.. index.SelectMany(i => new[] { i, Math.Min(i + 1, layers.Count - 1) })];
        double[] stairY = [.. index.SelectMany(i => new[] { layers[(int)i], layers[(int)i] })];
        discrete.Line(null, stairX, stairY, 1, thickness: 1.5, alpha: 160).Points("state behind a layer", index, layers, 1, size: 5);
        var continuous = new Panel("neural ODE: continuous depth", "depth t", yLabel);
        continuous.Line("solution", times, solution, 0, thickness: 2.5).Points("the layers", places, layers, 1, size: 4);
        return new Figure("From layers to depth", [discrete, continuous], 2);
    }

    /// <summary>Grey images with what they are and what they were taken for.</summary>
    /// <param name="images">Each image row by row from the top, values from 0 for black to 1 for white.</param>
    /// <param name="imageWidth">Pixels in a row of an image.</param>
    /// <param name="labels">What the images are; null where it is not to be written.</param>
    /// <param name="predictions">What they were taken for; null for no predictions. Wrong ones are written in another colour.</param>
    /// <param name="columns">How many images stand side by side.</param>
    /// <param name="title">What the images are.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">Sizes or counts do not fit; the message says which.</exception>
    public static Figure ImageGrid(
        IReadOnlyList<float[]> images, int imageWidth, IReadOnlyList<string>? labels = null, IReadOnlyList<string>? predictions = null,
        int columns = 8, string title = "images")
    {
        Checks.NotEmpty(images, "images", nameof(images));
        ArgumentNullException.ThrowIfNull(title);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(imageWidth);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        int pixels = images[0]?.Length ?? 0;
        if (pixels == 0 || pixels % imageWidth != 0 || images.Any(image => image is null || image.Length != pixels))
            throw new ArgumentException(
                $"Images must all have the same number of pixels, a multiple of their width, {imageWidth}.", nameof(images));
        if (labels is not null && labels.Count != images.Count)
            throw new ArgumentException(
                $"There are {labels.Count} labels for {images.Count} images; there must be one for each.", nameof(labels));
        if (predictions is not null && predictions.Count != images.Count)
            throw new ArgumentException(
                $"There are {predictions.Count} predictions for {images.Count} images; there must be one for each.", nameof(predictions));
        columns = Math.Min(columns, images.Count);
        int rows = (images.Count + columns - 1) / columns;
        const double Cell = 1.12, Text = 0.32;
        double rowHeight = Cell + (labels is null && predictions is null ? 0 : Text);
        var panel = new Panel(
            title, "", "")
        { Bare = true, EqualUnits = true, XRange = (0, columns * Cell), YRange = (0, rows * rowHeight) };
        for (int i = 0; i < images.Count; i++)
        {
            double left = i % columns * Cell + 0.06, bottom = (rows - 1 - i / columns) * rowHeight + 0.06;
            panel.Image(images[i], imageWidth, left, bottom, 1);
            bool wrong = labels is not null && predictions is not null && labels[i] != predictions[i];
            string text = predictions is null ? labels?[i] ?? "" : wrong ? $"{predictions[i]} (is {labels![i]})" : predictions[i];
            if (text.Length > 0)
                panel.Text(left + 0.5, bottom + 1 + Text / 2, text, wrong ? 1 : null);
        }
        int width = Math.Clamp(columns * 72 + 40, 320, 2000), height = (int)Math.Clamp(rows * 72 * rowHeight / Cell + 60, 160, 3000);
        return new Figure(title, [panel], panelWidth: width, panelHeight: height);
    }

    private static void AddPaths(Panel panel, Tensor paths, IReadOnlyList<int>? classes)
    {
        Tensors.Require(paths, 3, "[times, rows, 2]", nameof(paths));
        if (paths.shape[2] != 2)
            throw new ArgumentException($"The paths have {paths.shape[2]} components; they must be [times, rows, 2].", nameof(paths));
        int times = (int)paths.shape[0], rows = (int)paths.shape[1];
        if (classes is not null && classes.Count != rows)
            throw new ArgumentException(
                $"There are {classes.Count} classes for {rows} paths; there must be one for each.", nameof(classes));
        double[] numbers = Tensors.Numbers(paths);
        for (int row = 0; row < rows; row++)
        {
            double[] x = [.. Enumerable.Range(0, times).Select(time => numbers[2 * (time * rows + row)])];
            double[] y = [.. Enumerable.Range(0, times).Select(time => numbers[2 * (time * rows + row) + 1])];
            int colour = classes?[row] ?? 0;
            panel.Line(null, x, y, colour, thickness: 2, alpha: 200).Points(null, [x[^1]], [y[^1]], colour, size: 3.5);
        }
    }

    private static double[] Rates(Func<Tensor, Tensor, Tensor> dynamics, double time, double[] points, Tensor? like)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        ScalarType type = like?.dtype ?? ScalarType.Float32;
        Tensor states = tensor(points, [points.Length / 2, 2], ScalarType.Float64).to(type);
        Tensor rates = dynamics(tensor(time, type), states);
        if (rates is null || rates.dim() != 2 || rates.shape[0] != states.shape[0] || rates.shape[1] != 2)
            throw new ArgumentException(
                $"The dynamics return {(rates is null ? "null" : $"shape [{string.Join(", ", rates.shape)}]")} for states of shape "
                + $"[{states.shape[0]}, 2]; it must be the same shape.", nameof(dynamics));
        Tensors.Require(rates, 2, "[rows, 2]", nameof(dynamics));
        return Tensors.Numbers(rates);
    }

    /// <summary>All states, time by time, in the plane of the first two principal components, and its share of their variance.</summary>
    private static (double[,] Points, double Share) Plane(Tensor states)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long features = states.shape[2];
        Tensor all = states.detach().to(ScalarType.Float64, CPU).reshape(-1, features);
        if (features == 1)
            return (Tensors.Columns(cat([all, zeros_like(all)], 1)), 1);
        if (features == 2)
            return (Tensors.Columns(all), 1);
        Tensor centred = all - all.mean([0L], keepdim: true);
        (Tensor values, Tensor vectors) = linalg.eigh(mm(centred.t(), centred));
        // Ascending: the last two are the largest.
        double[] variances = Tensors.Numbers(values);
        Tensor plane = mm(centred, vectors.narrow(1, features - 2, 2).flip(1));
        double sum = variances.Sum();
        return (Tensors.Columns(plane), sum > 0 ? (variances[^1] + variances[^2]) / sum : 1);
    }
}
