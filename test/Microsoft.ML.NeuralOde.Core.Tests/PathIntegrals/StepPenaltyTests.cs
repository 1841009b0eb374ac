using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.PathIntegrals;

/// <summary>Penalties on what the solver estimates of its steps: their values by hand, their gradients against finite
/// differences.</summary>
public class StepPenaltyTests
{
    /// <summary>Method, weight of errors, weight of stiffness, step size.</summary>
    public static TheoryData<string, double, double, double?> Cases => new()
    {
        { "dopri5", 0.7, 0, 0.5 }, { "dopri5", 0, 0.3, 0.5 }, { "dopri5", 0.7, 0.3, null }, { "tsit5", 0.2, 0.5, 0.25 },
        { "bosh3", 1, 0, null },
        { "adaptive_heun", 1, 0, 0.25 },
    };

    [Fact]
    public void One_step_of_adaptive_Heun_costs_what_it_says()
    {
        using DisposeScope scope = NewDisposeScope();
        // y′ = a y from 1 with h = 0.5: k₀ = a, k₁ = a (1 + h a); the error against Euler's method is h (k₁ − k₀) / 2 = h² a² / 2.
        var dynamics = new DenseDynamics(1, [], time: TimeDependence.None).to(ScalarType.Float64);
        using (no_grad())
        {
            dynamics.get_parameter("weight0")!.fill_(0.6);
            dynamics.get_parameter("bias0")!.fill_(0);
        }
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.AdaptiveHeun,
            StepSize = 0.5,
            RelativeTolerance = 0.1,
            AbsoluteTolerance = 0.2,
            Gradient = GradientMethod.Direct()
        };
        double end = 1 + 0.5 * 0.6 + 0.25 * 0.36 / 2, ratio = 0.25 * 0.36 / 2 / (0.2 + 0.1 * end);
        RegularizedSolution found =
            new PathRegularization { ErrorEstimate = 2 }.Solve(dynamics, ones([1, 1], ScalarType.Float64), 0, 0.5, options);
        found.Final.ToDouble().Should().BeApproximately(end, 1e-12);
        found.Penalty.ToDouble().Should().BeApproximately(2 * ratio * ratio, 1e-12);
    }

    [Fact]
    public void The_stiffness_of_a_linear_equation_is_its_rate()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(1, [], time: TimeDependence.None).to(ScalarType.Float64);
        using (no_grad())
        {
            dynamics.get_parameter("weight0")!.fill_(-30);
            dynamics.get_parameter("bias0")!.fill_(0);
        }
        var options = new OdeSolverOptions { StepSize = 0.1, RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-10 };
        RegularizedSolution found =
            new PathRegularization { Stiffness = 1 }.Solve(dynamics, ones([2, 1], ScalarType.Float64), 0, 0.4, options);
        // Four steps, each with (h λ)² = 9.
        found.Penalty.ToDouble().Should().BeApproximately(4 * 9, 1e-6);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Gradients_by_both_methods_agree_with_each_other_and_with_finite_differences(
        string method, double error, double stiffness, double? step)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(5);
        var regularization = new PathRegularization { ErrorEstimate = error, Stiffness = stiffness };
        nn.Module<Tensor, Tensor, Tensor> dynamics = new DenseDynamics(3, [5]).to(ScalarType.Float64);
        using (no_grad())
            foreach (TorchSharp.Modules.Parameter parameter in dynamics.parameters())
                parameter.mul_(2);
        foreach (nn.Module<Tensor, Tensor, Tensor> module in new[] { dynamics, new WithoutEvaluator(dynamics) })
        {
            Tensor start = randn([4, 3], ScalarType.Float64);
            Tensor[] direct = Gradients(GradientMethod.Direct());
            foreach (GradientMethod gradient in new[] { GradientMethod.Checkpointed(), GradientMethod.Checkpointed(1),
                GradientMethod.Checkpointed(evaluationBytes: 0) })
                foreach ((Tensor found, Tensor right) in Gradients(gradient).Zip(direct))
                    Problems.MaximumDifference(found, right).Should().BeLessThan(1e-9 * Math.Max(1, right.abs().max().ToDouble()));

            if (step is not null)
            {
                Tensor direction = randn([4, 3], ScalarType.Float64);
                double slope = (Value(start + 1e-5 * direction) - Value(start - 1e-5 * direction)) / 2e-5;
                // Tolerances count as constants, and they move with the state.
                if (error == 0)
                    (direct[0] * direction).sum().ToDouble().Should().BeApproximately(slope, 1e-4 * Math.Max(1, Math.Abs(slope)));
            }

            double Value(Tensor from)
            {
                using IDisposable noGrad = no_grad();
                return Loss(regularization.Solve(module, from, 0, 1, Options(GradientMethod.Direct()))).ToDouble();
            }

            Tensor[] Gradients(GradientMethod gradient)
            {
                module.zero_grad();
                Tensor y0 = start.clone().requires_grad_();
                RegularizedSolution solution = regularization.Solve(module, y0, 0, 1, Options(gradient));
                Loss(solution).backward();
                solution.Statistics.BackwardFailure.Should().BeNull();
                return [y0.grad!, solution.Penalty.detach(), .. dynamics.parameters().Select(parameter => parameter.grad!.clone())];
            }
        }

        OdeSolverOptions Options(GradientMethod gradient) => new()
        {
            Method = OdeMethod.Parse(method),
            StepSize = step,
            // With an absolute tolerance alone the scale is a constant.
            RelativeTolerance = 1e-12,
            AbsoluteTolerance = 1e-3,
            Gradient = gradient,
        };

        static Tensor Loss(RegularizedSolution solution) => solution.Final.sin().sum() + solution.Penalty;
    }

    [Fact]
    public void It_goes_together_with_integrals_along_the_path()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(3, [5]);
        Tensor y0 = randn(4, 3);
        var options = new OdeSolverOptions { Method = OdeMethod.Dopri5, StepSize = 0.5 };
        Tensor Penalty(PathRegularization regularization) => regularization.Solve(dynamics, y0, 0, 1, options).Penalty;
        double kinetic = Penalty(new PathRegularization { KineticEnergy = 1 }).ToDouble(),
            both = Penalty(new PathRegularization { KineticEnergy = 1, Stiffness = 1 }).ToDouble();
        both.Should().BeGreaterThan(kinetic);
        Tensor penalty = Penalty(new PathRegularization { KineticEnergy = 1, Stiffness = 1, ErrorEstimate = 1 });
        penalty.backward();
        dynamics.parameters().Should().OnlyContain(parameter => parameter.grad!.isfinite().all().ToDouble() == 1);
    }

    [Theory]
    [InlineData("rk4", "checkpointed", true, false, "*ErrorEstimate*'rk4'*Dopri5*")]
    [InlineData("radau5", "checkpointed", true, false, "*ErrorEstimate*'radau5'*")]
    [InlineData("bosh3", "checkpointed", false, false, "*Stiffness*'bosh3'*Dopri5 or OdeMethod.Tsit5*")]
    [InlineData("dopri5", "adjoint", true, false, "*ErrorEstimate*'adjoint'*Checkpointed() or GradientMethod.Direct()*")]
    [InlineData("dopri5", "reversible", false, false, "*Stiffness*'reversible'*")]
    [InlineData("dopri5", "direct", false, true, "*Stiffness*PerRow*")]
    public void What_cannot_be_had_is_named(string method, string gradient, bool error, bool perRow, string message)
    {
        using var dynamics = new DenseDynamics(2);
        using Tensor y0 = ones(1, 2);
        PathRegularization regularization = error ? new() { ErrorEstimate = 1 } : new() { Stiffness = 1 };
        Action solve = () => regularization.Solve(
            dynamics, y0,
            0, 1, new OdeSolverOptions { Method = OdeMethod.Parse(method), Gradient = GradientMethod.Parse(gradient), PerRow = perRow });
        solve.Should().Throw<ArgumentException>().WithMessage(message);
        Action negative = () => new PathRegularization { Stiffness = -1 }.Solve(dynamics, y0, 0, 1);
        negative.Should().Throw<ArgumentException>().WithMessage("*Stiffness is -1*");
    }

    [Fact]
    public void Texts_without_them_are_those_of_before()
    {
        new PathRegularization { KineticEnergy = 0.5 }.ToString().Should().Be(
            $"PathRegularization {{ KineticEnergy = 0.5, JacobianNorm = 0, Estimator = {TraceEstimator.Hutchinson()}, IsActive = True }}");
        new PathRegularization { Stiffness = 0.5 }.ToString().Should().Contain("Stiffness = 0.5");
    }
}
