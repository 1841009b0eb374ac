using Microsoft.ML.NeuralOde.Plots;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Gradients without the way forward in memory.</summary>
internal sealed class AdjointMethod() : Chapter(3, "the-adjoint-method", "The adjoint method")
{
    private const double Duration = 4;

    private static readonly OdeSolverOptions Tight =
        new() { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-12 };

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        Pendulum(page);
        Precision(page);
        Memory(page);
    }

    /// <summary>q' = v, v' = −a sin q − b v, and how far q(4) is from a wanted angle.</summary>
    private static void Pendulum(TutorialPage page)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = tensor(4.0, requires_grad: true), b = tensor(0.3, requires_grad: true);
        Tensor y0 = tensor(new[] { 1.0, 0.0 }, requires_grad: true);
        Tensor times = tensor(Spaced(0, Duration, 161));
        using AdjointSolution adjoint = Ode.SolveAdjoint((t, y) => Swing(y, a, b), y0, times, Loss, Tight, [("a", a), ("b", b)]);
        page.Figure("adjoint", Figures.AdjointPath(adjoint), 1320, 400);
        page.Number("loss", adjoint.Loss, "0.0000");

        double[] initial = Numbers(adjoint.Adjoints[0]);
        (string Name, double Adjoint, Func<double, double> Shifted)[] gradients =
        [
            ("q(0)", initial[0], shift => Value(1 + shift, 0, 4, 0.3)),
            ("v(0)", initial[1], shift => Value(1, shift, 4, 0.3)),
            ("a", Numbers(adjoint.ParameterGradients[0].Path)[0], shift => Value(1, 0, 4 + shift, 0.3)),
            ("b", Numbers(adjoint.ParameterGradients[1].Path)[0], shift => Value(1, 0, 4, 0.3 + shift)),
        ];
        using OdeSolution solution =
            Ode.Solve((t, y) => Swing(y, a, b), y0, times, Tight with { Gradient = GradientMethod.Direct() }, [a, b]);
        using (Tensor loss = Loss(solution.Final))
            loss.backward();
        double[] direct = [.. Numbers(y0.grad!), Numbers(a.grad!)[0], Numbers(b.grad!)[0]];
        page.Table("gradients", ["with respect to", "adjoint", "through the solver's operations", "central differences"],
            [.. gradients.Select((gradient, i) => new object[]
            {
                gradient.Name, TutorialPage.Cell(gradient.Adjoint, "0.000000", 1e-5), TutorialPage.Cell(direct[i], "0.000000", 1e-5),
                TutorialPage.Cell((gradient.Shifted(1e-5) - gradient.Shifted(-1e-5)) / 2e-5, "0.000000", 1e-5),
            })]);
        page.Number("forward-evaluations", adjoint.Forward.FunctionEvaluations, "N0", 0.1);
        page.Number("backward-evaluations", adjoint.Backward.FunctionEvaluations, "N0", 0.1);
    }

    /// <summary>The adjoint's error follows the tolerances of the way back; the others give the exact derivative of the discrete
    /// solution.</summary>
    private static void Precision(TutorialPage page)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] reference = Gradient(Tight with { Gradient = GradientMethod.Direct() });
        var rows = new List<object[]>();
        foreach (double tolerance in (double[])[1e-3, 1e-5, 1e-7])
        {
            var options = new OdeSolverOptions { RelativeTolerance = tolerance, AbsoluteTolerance = tolerance / 10 };
            double[] errors =
                [.. new[] { GradientMethod.Adjoint(), GradientMethod.Checkpointed(), GradientMethod.Direct() }.Select(method =>
            {
                double[] found = Gradient(options with { Gradient = method });
                return found.Zip(reference, (x, y) => Math.Abs(x - y)).Max();
            })];
            rows.Add([TutorialPage.Cell(tolerance, "0e-0", 0), .. errors.Select(error => (object)TutorialPage.Cell(error, "0e-0", 0.4))]);
        }
        page.Table("precision", ["rtol", "`Adjoint()`", "`Checkpointed()`", "`Direct()`"], rows);

        static double[] Gradient(OdeSolverOptions options)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor a = tensor(4.0, requires_grad: true), b = tensor(0.3, requires_grad: true);
            Tensor y0 = tensor(new[] { 1.0, 0.0 }, requires_grad: true);
            using OdeSolution solution = Ode.Solve((t, y) => Swing(y, a, b), y0, tensor(new[] { 0.0, Duration }), options, [a, b]);
            Loss(solution.Final).backward();
            return [.. Numbers(y0.grad!), Numbers(a.grad!)[0], Numbers(b.grad!)[0]];
        }
    }

    /// <summary>What lies in memory between the way forward and the way back.</summary>
    private static void Memory(TutorialPage page)
    {
        random.manual_seed(page.Seed(5));
        using var f = new DenseDynamics(64, [64]);
        using Tensor batch = randn(256, 64);
        int[] steps = [16, 32, 64, 128, 256];
        (string Name, GradientMethod Method)[] methods =
        [
            ("direct", GradientMethod.Direct()), ("checkpointed, 8 states", GradientMethod.Checkpointed(8)),
            ("adjoint", GradientMethod.Adjoint()),
        ];
        Held(f, batch, 4, GradientMethod.Direct());
        double[][] held = [.. methods.Select(method => steps.Select(count => Held(f, batch, count, method.Method)).ToArray())];
        page.Table("memory", ["steps", .. methods.Select(method => $"{method.Name} (MiB)")],
            [.. steps.Select((count, i) => (object[])[$"{count}", .. held.Select(values => TutorialPage.Cell(values[i], "0.0", null))])]);
        page.Figure("memory", Figures.MemoryBySteps(
            [.. methods.Select((method, i) => new Curve(method.Name, [.. steps.Select(count => (double)count)], held[i]))],
            "kept between the way forward and the way back"), 620, 380);
    }

    private static double Held(DenseDynamics f, Tensor batch, int steps, GradientMethod method) =>
        // What other threads free meanwhile is in the books too.
        Enumerable.Range(0, 3).Select(_ => HeldOnce(f, batch, steps, method)).Order().ElementAt(1);

    private static double HeldOnce(DenseDynamics f, Tensor batch, int steps, GradientMethod method)
    {
        long before = NativeHeap.BytesInUse();
        using OdeSolution solution =
            Ode.Solve(f, batch, 0, 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 1.0 / steps, Gradient = method });
        return NativeHeap.IsKnown ? (NativeHeap.BytesInUse() - before) / (1024.0 * 1024) : double.NaN;
    }

    private static Tensor Swing(Tensor y, Tensor a, Tensor b)
    {
        Tensor q = y.narrow(-1, 0, 1), v = y.narrow(-1, 1, 1);
        return cat([v, -(a * q.sin()) - b * v], -1);
    }

    private static Tensor Loss(Tensor y) => (y[0] - 0.5).square() * 0.5;

    private static double Value(double q, double v, double a, double b)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor ta = tensor(a), tb = tensor(b);
        using OdeSolution solution = Ode.Solve((t, y) => Swing(y, ta, tb), tensor(new[] { q, v }), tensor(new[] { 0.0, Duration }), Tight);
        return Loss(solution.Final).ToDouble();
    }
}
