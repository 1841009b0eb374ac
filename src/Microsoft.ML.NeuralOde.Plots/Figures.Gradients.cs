using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

public static partial class Figures
{
    private const int MostComponents = 4;

    /// <summary>
    /// The way forward and the way back of the adjoint method: the state, the adjoint state λ = ∂L/∂y, and the gradient of the parameters
    /// as it adds up from the last time to the first.
    /// </summary>
    /// <param name="adjoint">What <c>Ode.SolveAdjoint</c> returned; of states with several components the first four are drawn.</param>
    /// <returns>The figure.</returns>
    public static Figure AdjointPath(AdjointSolution adjoint)
    {
        ArgumentNullException.ThrowIfNull(adjoint);
        double[] times = Tensors.Numbers(adjoint.Times);
        var forward = new Panel("forward: the state", "time t", "y(t)");
        var backward = new Panel("backward: the adjoint state", "time t", "λ(t) = ∂L/∂y(t)");
        AddComponents(forward, adjoint.States, "y", times, rightwards: true);
        AddComponents(backward, adjoint.Adjoints, "λ", times, rightwards: false);
        var panels = new List<Panel> { forward, backward };
        if (adjoint.ParameterGradients.Count > 0)
        {
            var gradient = new Panel("backward: the gradient adds up", "time t", "part of ∂L/∂θ from t to the end");
            int colour = 0;
            foreach ((string name, Tensor path) in adjoint.ParameterGradients)
            {
                double[,] values = Tensors.Columns(path);
                double[] shown = values.GetLength(1) == 1 ? Column(values, 0) : Norms(values);
                string label = values.GetLength(1) == 1 ? name : $"‖{name}‖";
                gradient.Line(label, times, shown, colour);
                AddArrow(gradient, times, shown, colour, rightwards: false);
                colour++;
                if (colour == 8)
                    break;
            }
            panels.Add(gradient);
        }
        return new Figure("The adjoint method", panels, panels.Count);
    }

    /// <summary>Memory that gradients take against the number of steps, on logarithmic scales.</summary>
    /// <param name="curves">One a gradient method: steps, and mebibytes.</param>
    /// <param name="title">What was differentiated.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are no curves, or one of them makes no sense.</exception>
    public static Figure MemoryBySteps(IReadOnlyList<Curve> curves, string title = "memory of a gradient")
    {
        ArgumentNullException.ThrowIfNull(title);
        Checks.Curves(curves, nameof(curves));
        var panel = new Panel(title, "steps of the solver", "memory (MiB)") { LogX = true, LogY = true };
        Add(panel, curves, markers: true);
        return new Figure(title, [panel]);
    }

    private static void AddComponents(Panel panel, Tensor path, string name, double[] times, bool rightwards)
    {
        double[,] values = Tensors.Columns(path);
        int components = Math.Min(values.GetLength(1), MostComponents);
        for (int i = 0; i < components; i++)
        {
            double[] curve = Column(values, i);
            panel.Line(values.GetLength(1) == 1 ? name : $"{name}{Subscript(i + 1)}", times, curve, i);
            AddArrow(panel, times, curve, i, rightwards);
            panel.Points(null, [times[0], times[^1]], [curve[0], curve[^1]], i, size: 5);
        }
    }

    /// <summary>The direction in which a curve was computed, in its middle.</summary>
    private static void AddArrow(Panel panel, double[] times, double[] curve, int colour, bool rightwards)
    {
        if (times.Length < 8)
            return;
        int middle = times.Length / 2, length = Math.Max(1, times.Length / 40);
        (int from, int to) = rightwards ? (middle - length, middle + length) : (middle + length, middle - length);
        panel.Arrow(times[from], curve[from], times[to], curve[to], colour, thickness: 2, head: 7);
    }

    private static double[] Column(double[,] values, int column) =>
        [.. Enumerable.Range(0, values.GetLength(0)).Select(row => values[row, column])];

    private static double[] Norms(double[,] values)
    {
        var norms = new double[values.GetLength(0)];
        for (int row = 0; row < norms.Length; row++)
            norms[row] = Math.Sqrt(Enumerable.Range(0, values.GetLength(1)).Sum(i => values[row, i] * values[row, i]));
        return norms;
    }

    /// <summary>1 to 9 below the line.</summary>
    private static char Subscript(int digit) => (char)('₀' + digit);
}
