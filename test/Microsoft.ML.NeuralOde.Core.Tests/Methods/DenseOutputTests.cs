using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

/// <summary>What a method asks of f inside a solve, and what its outputs between steps are worth.</summary>
public class DenseOutputTests
{
    public static TheoryData<string, bool> Methods
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (OdeMethod method in OdeMethod.All)
            {
                data.Add(method.Name, false);
                if (method.IsAdaptive)
                    data.Add(method.Name, true);
            }
            return data;
        }
    }

    public static TheoryData<string, double> Adaptive
    {
        get
        {
            var data = new TheoryData<string, double>();
            foreach (OdeMethod method in OdeMethod.All.Where(method => method.IsAdaptive))
                foreach (double tolerance in new[] { 1e-6, 1e-8, 1e-10 })
                    data.Add(method.Name, tolerance);
            foreach (OdeMethod method in new[] { OdeMethod.Bosh3, OdeMethod.Tsit5, OdeMethod.Dopri8 })
                data.Add(OdeMethod.ReversibleCoupling(method).Name, 1e-8);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void F_is_never_asked_outside_the_interval(string name, bool adaptive)
    {
        foreach ((double from, double to) in new[] { (0.0, 1.0), (1.0, 0.0) })
        {
            double first = double.PositiveInfinity, last = double.NegativeInfinity;
            // Behind t = 1 there is no root.
            Tensor F(Tensor t, Tensor y)
            {
                first = Math.Min(first, t.ToDouble());
                last = Math.Max(last, t.ToDouble());
                return (1 - t).sqrt() - y;
            }
            using IDisposable noGrad = no_grad();
            using Tensor y0 = tensor(new[] { 0.5, 0.2 });
            using Tensor times = tensor(new[] { from, 0.3 + 0.4 * from, to });
            var options = new OdeSolverOptions
            {
                Method = OdeMethod.Parse(name),
                StepSize = adaptive ? null : 0.13,
                RelativeTolerance = 1e-4,
                AbsoluteTolerance = 1e-4,
                Discontinuities = [0.5],
            };
            using OdeSolution solution = Ode.Solve(F, y0, times, options);
            solution.States.isfinite().all().item<bool>().Should().BeTrue();
            first.Should().BeGreaterThanOrEqualTo(0);
            last.Should().BeLessThanOrEqualTo(1);
        }
    }

    [Theory]
    [MemberData(nameof(Adaptive))]
    public void Outputs_between_steps_meet_the_tolerance_as_ends_do(string name, double tolerance)
    {
        foreach ((Func<Tensor, Tensor, Tensor> f, double[] start, Func<double, double[]> exact) in new (Func<Tensor, Tensor, Tensor>,
            double[], Func<double, double[]>)[]
        {
            ((t, y) => -1.3 * y, [1, 0.5], t => [Math.Exp(-1.3 * t), 0.5 * Math.Exp(-1.3 * t)]),
            ((t, y) => stack([y[1], -y[0]]), [1, 0], t => [Math.Cos(t), -Math.Sin(t)]),
        })
        {
            // The lower the order, the more steps.
            double end = Math.Min(3, 100 * Math.Pow(tolerance, 1.0 / Math.Max(2, OdeMethod.Parse(name).Order)));
            double dense = Error([.. Enumerable.Range(0, 41).Select(i => end * i / 40)]);
            double ends = new[] { 0.55, 1 }.Max(part => Error([0, part * end]));
            dense.Should().BeLessThan(Math.Max(5 * tolerance, 3 * ends));

            double Error(double[] times)
            {
                using DisposeScope scope = NewDisposeScope();
                using IDisposable noGrad = no_grad();
                var options =
                    new OdeSolverOptions { Method = OdeMethod.Parse(name), RelativeTolerance = tolerance, AbsoluteTolerance = tolerance };
                OdeSolution solution = Ode.Solve(f, tensor(start), tensor(times), options);
                return Problems.MaximumDifference(solution.States, tensor([.. times.SelectMany(exact)], [times.Length, start.Length]));
            }
        }
    }

    [Theory]
    [InlineData("trbdf2")]
    [InlineData("kvaerno3")]
    [InlineData("esdirk4")]
    [InlineData("esdirk5")]
    [InlineData("radau3")]
    [InlineData("radau5")]
    public void On_a_stiff_problem_too(string name)
    {
        // y = cos t, to which everything else falls back at once: a step's end is exact however long the step is.
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        double[] times = [.. Enumerable.Range(0, 41).Select(i => 3.0 * i / 40)];
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(name), RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-5 };
        OdeSolution solution = Ode.Solve((t, y) => -1e4 * (y - t.cos()) - t.sin(), tensor(new[] { 1.0 }), tensor(times), options);
        Problems.MaximumDifference(solution.States.squeeze(1), tensor(times).cos()).Should().BeLessThan(5e-4);
        solution.Statistics.FunctionEvaluations.Should().BeLessThan(3000);
    }
}
