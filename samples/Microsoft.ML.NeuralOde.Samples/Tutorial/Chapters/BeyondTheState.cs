using Microsoft.ML.NeuralOde.Plots;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>What flows cannot do, and two ways out: more dimensions, and velocities.</summary>
internal sealed class BeyondTheState() : Chapter(6, "augmented-and-second-order", "Augmented and second-order equations")
{
    private static readonly OdeSolverOptions Training = new() { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 };

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        Crossing(page, cancellationToken);
        Rings(page, cancellationToken);
        Energy(page);
        Pendulum(page, cancellationToken);
    }

    /// <summary>x → −x on the line.</summary>
    private static void Crossing(TutorialPage page, CancellationToken cancellationToken)
    {
        var figures = new List<Figure>();
        foreach ((string name, int dimensions) in new[] { ("line", 0), ("augmented", 1) })
        {
            using DisposeScope scope = NewDisposeScope();
            random.manual_seed(page.Seed(4));
            using var f = new DenseDynamics(1 + dimensions, [32]);
            using var block = new OdeBlock(f, 1, Training, dimensions == 0 ? null : StateAugmentation.Zeros(dimensions));
            Tensor inputs = tensor([.. Spaced(-0.9, 0.9, 7).Select(x => (float)x)], [7, 1]);
            double loss = 0;
            using (var optimizer = new AdamOptimizer(block.parameters(), 2e-2))
                for (int step = 0; step < 250; step++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    using DisposeScope one = NewDisposeScope();
                    optimizer.ZeroGradients();
                    Tensor error = (block.call(inputs).narrow(1, 0, 1) + inputs).square().mean();
                    error.backward();
                    optimizer.Step();
                    loss = error.ToDouble();
                }
            page.Number($"crossing-{name}", loss, "0.0000", dimensions == 0 ? 0.1 : null);
            using IDisposable noGrad = no_grad();
            double[] times = Spaced(0, 1, 41);
            Tensor start = block.Augmentation is { } augmentation ? augmentation.call(inputs) : inputs;
            using OdeSolution solution = Ode.Solve(f, start, tensor(times), Training);
            double[] states = Numbers(solution.States.select(2, 0));
            figures.Add(Figures.Lines(dimensions == 0 ? "one dimension" : "one more dimension", "depth t", "x(t)",
                [.. Enumerable.Range(0, 7)
                    .Select(row => new Curve($"from {(row - 3) * 0.3:0.#}", times, [.. times.Select((_, i) => states[7 * i + row])]))]));
        }
        page.Figure("crossing", Figure.Combine("x → −x", 2, figures), 1000, 400);
    }

    /// <summary>A disc and the ring around it.</summary>
    private static void Rings(TutorialPage page, CancellationToken cancellationToken)
    {
        const int Steps = 200;
        var rows = new List<object[]>();
        var curves = new List<Curve>();
        var figures = new List<Figure>();
        foreach (int dimensions in (int[])[0, 1, 3])
        {
            using DisposeScope scope = NewDisposeScope();
            random.manual_seed(page.Seed(6));
            var source = new Random(page.Seed(3));
            using var f = new DenseDynamics(2 + dimensions, [32]);
            using var block = new OdeBlock(f, 1, Training, dimensions == 0 ? null : StateAugmentation.Zeros(dimensions));
            using var head = nn.Linear(2 + dimensions, 1);
            using var optimizer = new AdamOptimizer([.. block.parameters(), .. head.parameters()], 1e-2);
            var losses = new double[Steps];
            for (int step = 0; step < Steps; step++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using DisposeScope one = NewDisposeScope();
                (Tensor points, Tensor classes) = Draw(256, source);
                optimizer.ZeroGradients();
                Tensor loss = nn.functional.binary_cross_entropy_with_logits(head.call(block.call(points)).squeeze(1), classes);
                loss.backward();
                optimizer.Step();
                losses[step] = loss.ToDouble();
            }
            using IDisposable noGrad = no_grad();
            (Tensor test, Tensor truth) = Draw(1000, source);
            using OdeSolution solution = block.Solve(test, new OdeSolverOptions { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-7 });
            Tensor logits = head.call(solution.Final).squeeze(1);
            string name = dimensions == 0 ? "none" : $"{dimensions}";
            rows.Add([name, TutorialPage.Cell(nn.functional.binary_cross_entropy_with_logits(logits, truth).ToDouble(), "0.000", 0.6),
                TutorialPage.Cell(100 * logits.gt(0).eq(truth.gt(0.5)).to(ScalarType.Float32).mean().ToDouble(), "0.0", 0.03),
                TutorialPage.Cell(solution.Statistics.FunctionEvaluations, "N0", 0.4)]);
            curves.Add(new Curve($"{name} more", [.. Enumerable.Range(1, Steps).Select(i => (double)i)], Smooth(losses)));
            if (dimensions is 0 or 1)
            {
                (Tensor shown, Tensor colours) = Draw(120, new Random(page.Seed(9)));
                Tensor start = block.Augmentation is { } augmentation ? augmentation.call(shown) : shown;
                using OdeSolution paths = Ode.Solve(f, start, tensor(Spaced(0, 1, 31)), Training);
                figures.Add(Figures.Trajectories(paths.States, [.. Numbers(colours).Select(x => (int)x)], ["ring", "disc"],
                    dimensions == 0 ? "in the plane" : "with one more dimension"));
            }
        }
        page.Table("rings", ["more dimensions", "loss", "accuracy, new points (%)", "evaluations at rtol 1e-6"], rows);
        page.Figure("rings",
            Figure.Combine("a disc in a ring", 3, [figures[0], figures[1], Figures.Lines("training", "step", "loss", curves, logY: true)]),
            1320, 440);
    }

    /// <summary>How well methods keep the energy of an oscillator over 200 periods, all with 12 steps a period.</summary>
    private static void Energy(TutorialPage page)
    {
        using IDisposable noGrad = no_grad();
        double period = 2 * Math.PI;
        double[] times = Spaced(0, 200 * period, 201);
        var curves = new List<Curve>();
        var rows = new List<object[]>();
        foreach ((string name,
            OdeMethod method) in new[] { ("rk4", OdeMethod.Rk4), ("leapfrog", OdeMethod.Leapfrog), ("gl4", OdeMethod.GaussLegendre4) })
        {
            using Tensor y0 = tensor(new[] { 1.5, 0.0 }, [1, 2]);
            using Tensor grid = tensor(times);
            using OdeSolution solution = Ode.Solve((t, y) => cat([y.narrow(-1, 1, 1), -y.narrow(-1, 0, 1).sin()], -1), y0,
                grid, new OdeSolverOptions { Method = method, StepSize = period / 12 });
            double[] states = Numbers(solution.States);
            double[] error = [.. times.Select((_, i) => Math.Abs(Total(states[2 * i], states[2 * i + 1]) - Total(1.5, 0)))];
            curves.Add(new Curve(name, [.. times.Select(t => t / period)], [.. error.Select((_, i) => error.Take(i + 1).Max())]));
            rows.Add([$"`{name}`", $"{method.Order}", TutorialPage.Cell(solution.Statistics.FunctionEvaluations, "N0", 0.05),
                TutorialPage.Cell(error[^1], "0e-0", 0.5), TutorialPage.Cell(error.Max(), "0e-0", 0.5)]);
        }
        page.Table("energy", ["method", "order", "evaluations", "energy error at the end", "largest energy error"], rows);
        page.Figure("energy",
            Figures.Lines("a pendulum's energy", "time (2π)", "largest error of the energy so far", curves, logY: true), 680, 400);

        static double Total(double q, double v) => 0.5 * v * v - Math.Cos(q);
    }

    /// <summary>A swing learned from positions alone, and continued.</summary>
    private static void Pendulum(TutorialPage page, CancellationToken cancellationToken)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] seen = Spaced(0, 6, 31), all = Spaced(0, 12, 61);
        double[] truth = Angles(all);
        Tensor targets = tensor([.. truth.Take(31).Select(x => (float)x)], [31, 1]);
        var curves = new List<Curve> { new("the pendulum", all, truth) { IsReference = true } };
        foreach (string kind in (string[])["first order", "second order"])
        {
            random.manual_seed(page.Seed(8));
            bool second = kind == "second order";
            using nn.Module<Tensor, Tensor, Tensor> f = second
                ? new SecondOrderDynamics(1, [16], time: TimeDependence.None)
                : new DenseDynamics(1, [16, 16], time: TimeDependence.Concatenate);
            Tensor start = second ? tensor(new[] { 1f, 0f }, [1, 2]) : tensor(new[] { 1f }, [1, 1]);
            using var optimizer = new AdamOptimizer(f.parameters(), 2e-2);
            for (int step = 0; step < 400; step++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using DisposeScope one = NewDisposeScope();
                // First the beginning of the swing, then more and more of it: the whole at once is a loss with many valleys.
                int count = Math.Min(31, 6 + step / 10);
                optimizer.ZeroGradients();
                using OdeSolution solution = Ode.Solve(f, start, tensor(seen[..count]), Training);
                (solution.States.select(1, 0).narrow(1, 0, 1) - targets.narrow(0, 0, count)).square().mean().backward();
                optimizer.Step();
            }
            using IDisposable noGrad = no_grad();
            using OdeSolution found = Ode.Solve(f, start, tensor(all), Training);
            double[] angles = Numbers(found.States.select(1, 0).select(1, 0));
            curves.Add(new Curve(kind, all, angles));
            page.Number($"{kind.Replace(' ', '-')}-seen", Rms(angles, truth, 0, 31), "0.000", null);
            page.Number($"{kind.Replace(' ', '-')}-beyond", Rms(angles, truth, 31, 61), "0.000", null);
        }
        page.Figure("pendulum", Figures.Lines("learned from t ≤ 6, continued to 12", "time t", "angle", curves), 700, 400);

        static double Rms(double[] found, double[] truth, int from, int to) =>
            Math.Sqrt(Enumerable.Range(from, to - from).Average(i => Math.Pow(found[i] - truth[i], 2)));
    }

    private static double[] Angles(double[] times)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using OdeSolution solution = Ode.Solve(
            (t, y) => cat([y.narrow(-1, 1, 1), y.narrow(-1, 0, 1).sin() * -4 - y.narrow(-1, 1, 1) * 0.2], -1),
            tensor(new[] { 1.0, 0.0 }, [1, 2]), tensor(times));
        return Numbers(solution.States.select(2, 0));
    }

    private static (Tensor Points, Tensor Classes) Draw(int count, Random source)
    {
        var points = new float[2 * count];
        var classes = new float[count];
        for (int i = 0; i < count; i++)
        {
            bool disc = source.Next(2) == 0;
            double radius = disc ? 0.5 * Math.Sqrt(source.NextDouble()) : 1 + 0.4 * source.NextDouble(),
                angle = 2 * Math.PI * source.NextDouble();
            points[2 * i] = (float)(radius * Math.Cos(angle));
            points[2 * i + 1] = (float)(radius * Math.Sin(angle));
            classes[i] = disc ? 1 : 0;
        }
        return (tensor(points, [count, 2]), tensor(classes));
    }

    /// <summary>A running mean, in which the line is seen through the noise of the batches.</summary>
    private static double[] Smooth(double[] values) =>
        [.. values.Select((_, i) => values.Skip(Math.Max(0, i - 4)).Take(Math.Min(i + 1, 5)).Average())];
}
