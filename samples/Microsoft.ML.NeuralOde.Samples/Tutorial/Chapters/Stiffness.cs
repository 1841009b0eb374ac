using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Equations that explicit methods are slow at, and how training can keep away from them.</summary>
internal sealed class Stiffness() : Chapter(5, "stiffness-and-regularisation", "Stiffness and regularisation")
{
    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        using (no_grad())
        {
            Fast(page);
            VanDerPol(page);
            Robertson(page);
        }
        Regularisation(page, cancellationToken);
    }

    /// <summary>y' = −1000 (y − cos t): smooth, and yet explicit steps must stay below 2 / 1000.</summary>
    private static void Fast(TutorialPage page)
    {
        double[] times = Spaced(0, 0.02, 11);
        double[] exact = [.. Spaced(0, 0.02, 201)];
        Func<double, double> solution = t => Decaying(t, 1000);
        var curves = new List<Curve> { new("solution", exact, [.. exact.Select(solution)]) { IsReference = true } };
        foreach ((string name,
            OdeMethod method) in new[] { ("Euler, Δt = 0.002", OdeMethod.Euler), ("implicit Euler, Δt = 0.002", OdeMethod.ImplicitEuler) })
        {
            using Tensor y0 = tensor(new[] { 0.0 });
            using Tensor grid = tensor(times);
            using OdeSolution found =
                Ode.Solve((t, y) => (y - t.cos()) * -1000, y0, grid, new OdeSolverOptions { Method = method, StepSize = 0.002 });
            curves.Add(new Curve(name, times, Numbers(found.States)));
        }
        page.Figure("limit", Figures.Lines("at the limit of stability", "time t", "y(t)", curves, markers: true), 620, 380);
    }

    private static double Decaying(double t, double rate)
    {
        // y' = −k (y − cos t), y(0) = 0.
        double scale = rate / (1 + rate * rate);
        return scale * (rate * Math.Cos(t) + Math.Sin(t)) - scale * rate * Math.Exp(-rate * t);
    }

    private static void VanDerPol(TutorialPage page)
    {
        var rows = new List<object[]>();
        foreach (double mu in (double[])[1, 10, 20, 40, 1000])
        {
            double end = mu < 5 ? 20 : 2 * mu;
            object[] cells = [$"{mu:0}",
                .. new[] { OdeMethod.Dopri5, OdeMethod.Radau5, OdeMethod.Esdirk5, OdeMethod.Auto }.Select(
                    method => Evaluations(mu, end, method))];
            rows.Add(cells);
        }
        page.Table("van-der-pol", ["µ", "dopri5", "radau5", "esdirk5", "auto"], rows);
        StepLog explicitLog = Steps(OdeMethod.Dopri5), implicitLog = Steps(OdeMethod.Radau5);
        page.Figure("steps",
            Figures.StepSizes([("dopri5", explicitLog), ("radau5", implicitLog)], "van der Pol, µ = 40: sizes of the steps"), 700, 420);
        page.Number("dopri5-steps", explicitLog.Steps.Count, "N0", 0.05);
        page.Number("radau5-steps", implicitLog.Steps.Count, "N0", 0.1);

        static StepLog Steps(OdeMethod method)
        {
            var log = new StepLog();
            using Tensor y0 = tensor(new[] { 2.0, 0.0 });
            Ode.Solve(SolversAndTolerances.VanDerPol(40), y0, tensor(new[] { 0.0, 80.0 }), Options(method) with { Progress = log })
                .Dispose();
            return log;
        }

        static object Evaluations(double mu, double end, OdeMethod method)
        {
            using Tensor y0 = tensor(new[] { 2.0, 0.0 });
            using Tensor times = tensor(new[] { 0.0, end });
            try
            {
                using OdeSolution solution =
                    Ode.Solve(SolversAndTolerances.VanDerPol(mu), y0, times, Options(method) with { MaximumSteps = 5_000 });
                return TutorialPage.Cell(solution.Statistics.FunctionEvaluations, "N0", 0.1);
            }
            catch (OdeSolverException e) when (e.Failure == SolverFailure.StepLimit)
            {
                return "more than 5,000 steps";
            }
        }
    }

    private static OdeSolverOptions Options(OdeMethod method) =>
        new() { Method = method, RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-6 };

    /// <summary>Robertson's three reactions, whose speeds differ by nine powers of ten.</summary>
    private static void Robertson(TutorialPage page)
    {
        using Tensor y0 = tensor(new[] { 1.0, 0.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 1e4 });
        using OdeSolution reference = Ode.Solve(
            Reactions, y0, times, new OdeSolverOptions { Method = OdeMethod.Radau5, RelativeTolerance = 1e-11, AbsoluteTolerance = 1e-15 });
        var curves = new List<Curve>();
        foreach (OdeMethod method in (OdeMethod[])[OdeMethod.TrBdf2, OdeMethod.Kvaerno3, OdeMethod.Esdirk5, OdeMethod.Radau5])
        {
            var work = new List<double>();
            var errors = new List<double>();
            foreach (double tolerance in (double[])[1e-2, 1e-4, 1e-6])
            {
                using OdeSolution solution = Ode.Solve(Reactions, y0, times,
                    new OdeSolverOptions { Method = method, RelativeTolerance = tolerance, AbsoluteTolerance = 1e-5 * tolerance });
                work.Add(solution.Statistics.FunctionEvaluations);
                errors.Add(((solution.Final - reference.Final) / reference.Final).abs().max().ToDouble());
            }
            curves.Add(new Curve(method.Name, work, errors));
        }
        page.Figure("robertson",
            Figures.WorkPrecision("Robertson's reactions to t = 10,000", curves, errorLabel: "largest relative error"), 620, 400);

        static Tensor Reactions(Tensor t, Tensor y)
        {
            Tensor a = y.narrow(-1, 0, 1), b = y.narrow(-1, 1, 1), c = y.narrow(-1, 2, 1);
            Tensor slow = a * 0.04, fast = b * b * 3e7, back = b * c * 1e4;
            return cat([back - slow, slow - back - fast, fast], -1);
        }
    }

    /// <summary>The same classifier of two moons with more and more weight on the energy of its paths.</summary>
    private static void Regularisation(TutorialPage page, CancellationToken cancellationToken)
    {
        var rows = new List<object[]>();
        var curves = new List<Curve>();
        foreach ((string name, PathRegularization regularization) in new[]
        {
            ("none", PathRegularization.None), ("kinetic energy, 0.01", new PathRegularization { KineticEnergy = 0.01 }),
            ("kinetic energy, 0.1", new PathRegularization { KineticEnergy = 0.1 }),
            ("Jacobian norm, 0.01", new PathRegularization { JacobianNorm = 0.01 }),
        })
        {
            (double loss, double accuracy, double energy, double evaluations, double[] counts) = Moons(
                page, regularization, cancellationToken);
            rows.Add([name, TutorialPage.Cell(loss, "0.000", 0.5), TutorialPage.Cell(accuracy, "0.0", 0.02),
                TutorialPage.Cell(energy, "0.0", 0.3), TutorialPage.Cell(evaluations, "N0", 0.3)]);
            curves.Add(new Curve(name, [.. Enumerable.Range(0, counts.Length).Select(i => 20.0 * i)], counts));
        }
        page.Table("regularisation",
            ["penalty, weight", "loss", "accuracy, new points (%)", "kinetic energy of a path", "evaluations at rtol 1e-6"], rows);
        page.Figure("regularisation",
            Figures.Lines("the cost of the solve while training", "training step", "evaluations at rtol 1e-6", curves), 680, 420);
    }

    private static (double Loss, double Accuracy, double Energy, double Evaluations, double[] Counts) Moons(
        TutorialPage page, PathRegularization regularization, CancellationToken cancellationToken)
    {
        using DisposeScope outer = NewDisposeScope();
        random.manual_seed(page.Seed(2));
        var source = new Random(page.Seed(1));
        using var f = new DenseDynamics(2, [32, 32]);
        using var head = nn.Linear(2, 1);
        using var optimizer = new AdamOptimizer([.. f.parameters(), .. head.parameters()], 1e-2);
        var counts = new List<double>();
        var evaluation = new OdeSolverOptions { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-7 };
        (Tensor testPoints, Tensor testClasses) = Draw(1000, source);
        double last = 0;
        for (int step = 0; step <= 300; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            if (step % 20 == 0)
                counts.Add(Count());
            (Tensor points, Tensor classes) = Draw(256, source);
            optimizer.ZeroGradients();
            RegularizedSolution solution =
                regularization.Solve(f, points, 0, 1, new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 });
            Tensor loss = nn.functional.binary_cross_entropy_with_logits(head.call(solution.Final).squeeze(1), classes);
            last = loss.ToDouble();
            (loss + solution.Penalty).backward();
            optimizer.Step();
        }
        using IDisposable noGrad = no_grad();
        using RegularizedSolution path = new PathRegularization { KineticEnergy = 1 }.Solve(f, testPoints, 0, 1, evaluation);
        Tensor logits = head.call(path.Final).squeeze(1);
        double accuracy = 100 * logits.gt(0).eq(testClasses.gt(0.5)).to(ScalarType.Float32).mean().ToDouble();
        double testLoss = nn.functional.binary_cross_entropy_with_logits(logits, testClasses).ToDouble();
        return (testLoss, accuracy, path.Penalty.ToDouble(), Count(), [.. counts]);

        double Count()
        {
            using IDisposable none = no_grad();
            using OdeSolution solution = Ode.Solve(f, testPoints, 0, 1, evaluation);
            return solution.Statistics.FunctionEvaluations;
        }
    }

    /// <summary>Two half-moons, and which of them a point belongs to.</summary>
    private static (Tensor Points, Tensor Classes) Draw(int count, Random source)
    {
        var points = new float[2 * count];
        var classes = new float[count];
        for (int i = 0; i < count; i++)
        {
            bool upper = source.Next(2) == 0;
            double angle = Math.PI * source.NextDouble();
            (double x, double y) = upper
                ? (Math.Cos(angle) - 0.5, Math.Sin(angle) - 0.25) : (0.5 - Math.Cos(angle), 0.25 - Math.Sin(angle));
            points[2 * i] = (float)(1.5 * (x + 0.1 * source.NextNormal()));
            points[2 * i + 1] = (float)(1.5 * (y + 0.1 * source.NextNormal()));
            classes[i] = upper ? 1 : 0;
        }
        return (tensor(points, [count, 2]), tensor(classes));
    }
}
