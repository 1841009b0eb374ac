using Microsoft.ML.NeuralOde.Inference;

namespace Microsoft.ML.NeuralOde.Core.Tests.Inference;

/// <summary>The solver for scoring against the general one, which runs through torch.</summary>
public sealed class DenseRowSolverTests
{
    public static TheoryData<string, Activation, TimeDependence, int, int[]> Cases => new()
    {
        { "dopri5", Activation.Tanh, TimeDependence.Add, 64, [64] },
        { "dopri5", Activation.Softplus, TimeDependence.Concatenate, 5, [7, 33] },
        { "dopri5", Activation.Silu, TimeDependence.None, 17, [3] },
        { "dopri5", Activation.Relu, TimeDependence.Add, 16, [128] },
        { "dopri5", Activation.Tanh, TimeDependence.Add, 3, [] },
        { "tsit5", Activation.Tanh, TimeDependence.Concatenate, 9, [40, 20, 10] },
        { "bosh3", Activation.Tanh, TimeDependence.Add, 8, [8] },
        { "dopri8", Activation.Tanh, TimeDependence.Add, 6, [12] },
        { "adaptive_heun", Activation.Silu, TimeDependence.Add, 1, [4] },
        { "euler", Activation.Tanh, TimeDependence.Add, 5, [5] },
        { "rk4", Activation.Softplus, TimeDependence.Concatenate, 5, [5] },
        { "midpoint", Activation.Tanh, TimeDependence.None, 5, [5] },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_agrees_with_the_general_solver(string method, Activation activation, TimeDependence time, int features, int[] hidden)
    {
        manual_seed(3);
        foreach (double end in new[] { 1.0, -0.7, 4.0 })
        {
            var dynamics = new DenseDynamics(features, [.. hidden.Select(size => (long)size)], activation, time);
            var options = new OdeSolverOptions
            {
                Method = OdeMethod.Parse(method),
                RelativeTolerance = 1e-4,
                AbsoluteTolerance = 1e-5,
                PerRow = true,
                StepSize = OdeMethod.Parse(method).IsAdaptive ? null : 0.05,
                Controller = end > 1 ? StepController.ProportionalIntegral() : StepController.Integral(),
            };
            Compare(dynamics, end, options, scale: 2);
        }
    }

    [Fact]
    public void An_adaptive_method_may_run_with_a_step_size()
    {
        manual_seed(4);
        Compare(new DenseDynamics(4), 1, new OdeSolverOptions { StepSize = 0.3, PerRow = true }, scale: 1);
        Compare(new DenseDynamics(4), 1, new OdeSolverOptions { MaximumStep = 0.01, FirstStep = 0.002, PerRow = true }, scale: 1);
    }

    [Fact]
    public void Rows_that_cannot_be_solved_become_NaN_and_the_step_limit_is_reported()
    {
        using var dynamics = new DenseDynamics(2, []);
        using var block = new OdeBlock(dynamics);
        var options = new OdeSolverOptions { PerRow = true };
        Run(DenseRowSolver.TryCreate(block, options)!, [float.NaN, 1]).Should().Equal(float.NaN, float.NaN);
        Run(DenseRowSolver.TryCreate(block, options)!, [1, float.NegativeInfinity]).Should().Equal(float.NaN, float.NaN);

        var limited = options with { MaximumSteps = 2, MaximumStep = 0.01 };
        Action act = () => Run(DenseRowSolver.TryCreate(block, limited)!, [1, 1]);
        act.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepLimit);
        Run(DenseRowSolver.TryCreate(block, limited with { OnStepLimit = StepLimitBehavior.ReturnPartial })!, [1, 1])
            .Should().Equal(float.NaN, float.NaN);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(20)]
    public void Components_that_are_zero_need_no_absolute_tolerance(int features)
    {
        // y′ = −y for every component.
        using var dynamics = new DenseDynamics(features, [], time: TimeDependence.None);
        using var block = new OdeBlock(dynamics);
        using (no_grad())
        {
            dynamics.get_parameter("weight0")!.copy_(-eye(features));
            dynamics.get_parameter("bias0")!.zero_();
        }
        float[] start = new float[features];
        start[1] = 2;
        foreach (double tolerance in new[] { 0, 1e-60 })
        {
            float[] found =
                Run(DenseRowSolver.TryCreate(block, new OdeSolverOptions { PerRow = true, AbsoluteTolerance = tolerance })!, start);
            found[0].Should().Be(0);
            found[1].Should().BeApproximately((float)(2 * Math.Exp(-1)), 1e-4f);
        }
    }

    [Fact]
    public void What_it_does_not_cover_is_left_to_the_general_solver()
    {
        using var block = new OdeBlock(new DenseDynamics(2));
        DenseRowSolver.TryCreate(block, new OdeSolverOptions { Method = OdeMethod.Radau5 }).Should().BeNull();
        DenseRowSolver.TryCreate(block, new OdeSolverOptions { Norm = ErrorNorm.Maximum }).Should().BeNull();
        DenseRowSolver.TryCreate(block, new OdeSolverOptions { Discontinuities = [0.5] }).Should().BeNull();
        foreach (TimeDependence time in new[] { TimeDependence.Gate, TimeDependence.ConcatSquash, TimeDependence.Fourier })
        {
            using var other = new OdeBlock(new DenseDynamics(2, time: time));
            DenseRowSolver.TryCreate(other, new OdeSolverOptions()).Should().BeNull();
        }
        using var wide = new OdeBlock(new DenseDynamics(2).to(ScalarType.Float64));
        DenseRowSolver.TryCreate(wide, new OdeSolverOptions()).Should().BeNull();
    }

    private static void Compare(DenseDynamics dynamics, double end, OdeSolverOptions options, double scale)
    {
        using var block = new OdeBlock(dynamics, end, options);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor start = randn(11, dynamics.Features) * scale;
        float[] expected = block.Solve(start).Final.contiguous().data<float>().ToArray();
        DenseRowSolver solver = DenseRowSolver.TryCreate(block, options)!;
        solver.Should().NotBeNull();
        float[] found = Run(solver, start.data<float>().ToArray());
        // Equal steps leave rounding alone. Error estimates are small differences, so that rounding moves the steps that they choose: two
        // solutions then differ by a few times the tolerance.
        bool isAdaptive = options.Method.IsAdaptive && options.StepSize is null;
        // Where f has kinks, the error depends on how steps happen to lie around them.
        float tolerances = !isAdaptive ? 0.02f : dynamics.Activation == Activation.Relu ? 5 : 1;
        for (int i = 0; i < found.Length; i++)
            found[i].Should().BeApproximately(expected[i], tolerances * (1e-4f + 1e-3f * Math.Abs(expected[i])));
    }

    private static unsafe float[] Run(DenseRowSolver solver, float[] states)
    {
        var results = new float[states.Length];
        var state = new float[solver.Width];
        var scratch = new float[solver.ScratchLength];
        fixed (float* s = state, w = scratch)
            for (int row = 0; row < states.Length / solver.Features; row++)
            {
                Array.Clear(state);
                states.AsSpan(row * solver.Features, solver.Features).CopyTo(state);
                solver.Solve(s, w);
                state.AsSpan(0, solver.Features).CopyTo(results.AsSpan(row * solver.Features));
            }
        return results;
    }
}
