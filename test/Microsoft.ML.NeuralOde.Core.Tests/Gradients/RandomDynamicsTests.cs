using Microsoft.ML.NeuralOde.Core.Tests.Support;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>
/// Right-hand sides that draw random numbers, or count their evaluations: evaluations made again on the way back would be others. Every
/// gradient method gives the gradients of <see cref="GradientMethod.Direct"/> for the same seed, or refuses.
/// </summary>
public class RandomDynamicsTests
{
    private static readonly GradientMethod[] Checkpointed =
        [GradientMethod.Checkpointed(), GradientMethod.Checkpointed(3), GradientMethod.Checkpointed(evaluationBytes: 0),
            GradientMethod.Checkpointed(evaluationBytes: 6000)];

    private static readonly OdeSolverOptions[] Solvers =
    [
        new() { Method = OdeMethod.Rk4, StepSize = 0.1 }, new() { Method = OdeMethod.Dopri5, StepSize = 0.25 },
        new() { Method = OdeMethod.Rk4, StepSize = 0.1, PerRow = true }, new() { RelativeTolerance = 1, AbsoluteTolerance = 10 },
        new() { RelativeTolerance = 1, AbsoluteTolerance = 10, PerRow = true }, new() { Method = OdeMethod.Adams, StepSize = 0.1 },
    ];

    public static TheoryData<string> Kinds => ["dropout", "function", "late", "late function"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Checkpointed_gradients_are_those_of_the_numbers_that_were_drawn(string kind)
    {
        using var module = new Dropping(kind);
        using Tensor y0 = randn(6, 5);
        foreach (OdeSolverOptions solver in Solvers)
            foreach (double[] times in new double[][] { [0, 1], [0, 0.33, 0.78, 1] })
            {
                (Tensor[] right, Tensor after) = Solve(GradientMethod.Direct());
                foreach (GradientMethod gradient in Checkpointed)
                {
                    (Tensor[] found, Tensor then) = Solve(gradient);
                    for (int i = 0; i < right.Length; i++)
                        Problems.MaximumDifference(found[i], right[i])
                        .Should().BeLessThan(1e-5 * Math.Max(1, right[i].abs().max().ToDouble()), solver.Method.Name);
                    then.data<float>().ToArray().Should().Equal(after.data<float>().ToArray(), "the solve draws as many numbers");
                }

                (Tensor[], Tensor) Solve(GradientMethod gradient)
                {
                    random.manual_seed(7);
                    module.zero_grad();
                    using Tensor start = y0.detach().clone().requires_grad_();
                    using Tensor at = tensor(times);
                    OdeSolverOptions options = solver with { Gradient = gradient };
                    using OdeSolution solution = kind.EndsWith("function", StringComparison.Ordinal)
                        ? Ode.Solve(module.forward, start, at, options, [.. module.parameters()]) : Ode.Solve(module, start, at, options);
                    Tensor next = rand(3);
                    solution.States.sin().sum().backward();
                    solution.Statistics.BackwardFailure.Should().BeNull();
                    return ([solution.States.detach().clone(), start.grad!.clone(),
                        .. module.parameters().Select(parameter => parameter.grad!.clone())], next);
                }
            }
    }

    [Theory]
    [InlineData("adjoint", "rk4")]
    [InlineData("reversible", "reversible_heun")]
    [InlineData("reversible", "reversible_bosh3")]
    [InlineData("checkpointed", "reversible_bosh3")]
    public void Methods_that_evaluate_again_refuse_and_name_the_module(string gradient, string method)
    {
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 0.1, Gradient = GradientMethod.Parse(gradient) };
        manual_seed(4);
        using var module = new Dropping("dropout");
        using Tensor y0 = randn(6, 5);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        foreach (Action solve in new Action[]
        {
            () => Ode.Solve(module, y0, 0, 1, options), () => Ode.Solve(module.forward, y0, times, options, [.. module.parameters()]),
            () => new OdeBlock(module, 1, options).call(y0), () =>
            new PathRegularization { KineticEnergy = 1 }.Solve(module, y0, 0, 1, options),
        })
            solve.Should().Throw<ArgumentException>().WithMessage("*random numbers*Dropout*Direct()*eval()*");
        module.eval();
        using (OdeSolution solution = Ode.Solve(module, y0, 0, 1, options))
            solution.Final.sum().backward();
        module.train();
        // Random numbers move the two states of a reversible method apart, which is an error even where no gradient is asked for.
        if (!options.Method.IsReversible)
            using (no_grad())
                Ode.Solve(module, y0, 0, 1, options).Dispose();
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void Draws_that_begin_late_in_a_solve_are_noticed(string gradient)
    {
        // y′ = 1, with noise in it from y = 1.5 on, which only the last of three outputs lies beyond.
        using Tensor y0 = ones(1, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(new[] { 0, 0.25, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Rk4,
            StepSize = 0.05,
            Gradient = gradient == "adjoint" ? GradientMethod.Adjoint() : GradientMethod.Checkpointed(2),
        };
        Func<Tensor, Tensor, Tensor> noisy = (t, y) => y.max().ToDouble() > 1.5 ? ones_like(y) + 0.01 * rand_like(y) * y : ones_like(y) * y / y;
        if (gradient == "adjoint")
        {
            Action solve = () => Ode.Solve(noisy, y0, times, options).Dispose();
            solve.Should().Throw<ArgumentException>().WithMessage("*draws random numbers*");
            Action trajectory = () => Ode.SolveAdjoint(noisy, y0, times, y => y.sum(), options).Dispose();
            trajectory.Should().Throw<ArgumentException>().WithMessage("*draws random numbers*");
            return;
        }
        // The graph of the solve keeps the numbers that were drawn: ∂y/∂y₀ is that of the noise along one path.
        using OdeSolution solution = Ode.Solve(noisy, y0, times, options);
        using Tensor final = solution.Final.sum();
        final.backward();
        solution.Statistics.BackwardEvaluations.Should().Be(0);
        solution.Statistics.BackwardFailure.Should().BeNull();
        y0.grad!.ToDouble().Should().BeInRange(1, 1.01);
    }

    [Fact]
    public void Numbers_that_another_thread_draws_are_no_reason_to_refuse()
    {
        using var module = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0");
        using var ended = new CancellationTokenSource();
        var thread = new Thread(() =>
        {
            while (!ended.IsCancellationRequested)
                rand(1).Dispose();
        });
        thread.Start();
        try
        {
            foreach (string gradient in new[] { "adjoint", "checkpointed" })
                for (int i = 0; i < 20; i++)
                {
                    using OdeSolution solution =
                        Ode.Solve(module, y0, 0, 1, new OdeSolverOptions { Gradient = GradientMethod.Parse(gradient) });
                    solution.Final.sum().backward();
                    solution.Statistics.BackwardFailure.Should().BeNull();
                }
        }
        finally
        {
            ended.Cancel();
            thread.Join();
        }
    }

    [Fact]
    public void A_second_backward_pass_that_would_draw_others_fails()
    {
        using var module = new Dropping("dropout");
        using Tensor y0 = randn(6, 5).requires_grad_();
        using OdeSolution solution = Ode.Solve(module, y0, 0, 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 });
        using Tensor loss = solution.Final.square().sum();
        loss.backward(retain_graph: true);
        solution.Statistics.BackwardFailure.Should().BeNull();
        try
        {
            loss.backward();
        }
        catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
        {
        }
        solution.Statistics.BackwardFailure!.Message.Should().Contain("second backward pass").And.Contain("Direct()");
    }

    [Theory]
    [InlineData("direct", "rk4")]
    [InlineData("adjoint", "rk4")]
    [InlineData("checkpointed", "rk4")]
    [InlineData("checkpointed", "gl4")]
    [InlineData("reversible", "reversible_heun")]
    [InlineData("reversible", "reversible_bosh3")]
    public void Batch_normalisation_counts_each_evaluation_of_the_solve_once(string gradient, string method)
    {
        GradientMethod by = gradient == "checkpointed" ? GradientMethod.Checkpointed(2) : GradientMethod.Parse(gradient);
        var options =
            new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = method == "reversible_heun" ? 0.02 : 0.1, Gradient = by };
        manual_seed(4);
        foreach (bool isModule in new[] { true, false })
            foreach (bool withEvent in new[] { false, true })
            {
                using var module = new Normalising();
                using Tensor y0 = randn(6, 5);
                using Tensor times = tensor(new[] { 0.0, 1.0 });
                OdeSolverOptions with = withEvent ? options with { Events = [new OdeEvent((t, y) => (t - 5).sum())] } : options;
                using OdeSolution solution = isModule
                    ? Ode.Solve(module, y0, 0, 1, with) : Ode.Solve((t, y) => module.call(t, y), y0, times, with, [.. module.parameters()]);
                double counted = module.Norm.get_buffer("num_batches_tracked")!.ToDouble();
                // With an event the first of two passes is not counted, and those through implicit equations are not counted evaluations
                // alone.
                if (method != "gl4")
                    counted.Should().Be(solution.Statistics.FunctionEvaluations / (withEvent ? 2 : 1));
                using Tensor mean = module.Norm.get_buffer("running_mean")!.clone();
                solution.Final.square().sum().backward();
                solution.Statistics.BackwardFailure.Should().BeNull();
                module.Norm.get_buffer("num_batches_tracked")!.ToDouble().Should().Be(counted);
                Problems.MaximumDifference(mean, module.Norm.get_buffer("running_mean")!).Should().Be(0);
            }
    }

    [Fact]
    public void An_adjoint_trajectory_leaves_buffers_as_the_solve_left_them()
    {
        using var module = new Normalising();
        using Tensor y0 = randn(6, 5);
        using Tensor times = tensor(new[] { 0.0, 0.4, 1.0 });
        using AdjointSolution found = Ode.SolveAdjoint(
            module, y0, times, y => y.square().sum(), new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.1 });
        found.Backward.FunctionEvaluations.Should().BePositive();
        module.Norm.get_buffer("num_batches_tracked")!.ToDouble().Should().Be(found.Forward.FunctionEvaluations);
    }

    private sealed class Dropping : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(5, 16);
        private readonly Dropout _dropout = nn.Dropout(0.4);
        private readonly Linear _second = nn.Linear(16, 5);
        private readonly string _kind;

        public Dropping(string kind)
            : base(nameof(Dropping))
        {
            _kind = kind;
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor y)
        {
            Tensor h = _first.call(y).tanh();
            bool isLate = _kind.StartsWith("late", StringComparison.Ordinal);
            if (!isLate || t.max().ToDouble() > 0.5)
                h = _kind == "function" ? nn.functional.dropout(h, 0.4, training) : _dropout.call(h);
            return _second.call(h);
        }
    }

    private sealed class Normalising : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Linear _layer = nn.Linear(5, 5);

        public Normalising()
            : base(nameof(Normalising)) => RegisterComponents();

        public BatchNorm1d Norm { get; } = nn.BatchNorm1d(5);

        public override Tensor forward(Tensor t, Tensor y) => Norm.call(_layer.call(y)).tanh();
    }
}
