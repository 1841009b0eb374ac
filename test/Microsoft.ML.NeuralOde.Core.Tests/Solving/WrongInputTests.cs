using Microsoft.ML.NeuralOde.Core.Tests.Support;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>What users get wrong, and what they read then: one line of ours that names it.</summary>
public class WrongInputTests
{
    private static readonly Tensor Times = tensor(new[] { 0.0, 1.0 });

    public static TheoryData<string, string> MethodsAndGradients
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (OdeMethod method in OdeMethod.All)
                foreach (string gradient in new[] { "none", "direct", "checkpointed", "adjoint", "reversible" })
                    if (gradient != "reversible" || method.IsReversible)
                        data.Add(method.Name, gradient);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(MethodsAndGradients))]
    public void A_function_that_changes_its_argument_in_place_gives_what_a_pure_one_gives(string name, string gradient)
    {
        var method = OdeMethod.Parse(name);
        var options = new OdeSolverOptions
        {
            Method = method,
            StepSize = method.IsAdaptive
            ? null : 0.25,
            Gradient = gradient == "none" ? null : GradientMethod.Parse(gradient)
        };
        using IDisposable? noGrad = gradient == "none" ? no_grad() : null;
        using Tensor rate = tensor(-0.5, ScalarType.Float64).requires_grad_(gradient != "none");
        (double[] pure, double pureRate) = Run((t, y) => rate * y);
        (double[] changing, double changingRate) = Run((t, y) => y.mul_(rate));
        changing.Should().Equal(pure);
        changingRate.Should().Be(pureRate);

        (double[], double) Run(Func<Tensor, Tensor, Tensor> f)
        {
            using Tensor y0 = tensor(new[] { 1.0, 2.0, 3.0, 4.0 }, [2, 2]).requires_grad_(gradient != "none");
            using OdeSolution solution = Ode.Solve(f, y0, Times, options, gradient == "none" ? null : [rate]);
            y0.detach().data<double>().ToArray().Should().Equal([1.0, 2.0, 3.0, 4.0], "the caller's state stays as it is");
            if (gradient == "none")
                return (solution.Final.contiguous().data<double>().ToArray(), 0);
            rate.grad?.zero_();
            solution.Final.sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return ([.. solution.Final.detach().contiguous().data<double>().ToArray(), .. y0.grad!.contiguous().data<double>().ToArray()],
                rate.grad!.ToDouble());
        }
    }

    [Fact]
    public void A_module_and_a_function_of_parts_that_change_their_arguments_are_no_harm_either()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(2, 3);
        using var module = new InPlace();
        using OdeSolution solution = Ode.Solve(module, y0, Times);
        solution.Final[0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        using OdeTupleSolution parts = Ode.Solve((Tensor t, IReadOnlyList<Tensor> y) => [y[0].neg_(), y[1].neg_()], [y0, y0], Times);
        parts.States[1][1][0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        using OdeSolution rows = Ode.Solve((t, y, arguments) => y.mul_(arguments[0]), y0, Times, [-ones(2, 1)]);
        rows.Final[0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        using var block = new OdeBlock(module);
        block.call(y0)[0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        y0.eq(1).all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void A_right_hand_side_may_dispose_of_what_it_was_given_or_change_its_shape()
    {
        using Tensor y0 = ones(2, 3);
        static Tensor Careless(Tensor t, Tensor y)
        {
            Tensor f = -y;
            y.unsqueeze_(0).Dispose();
            y.Dispose();
            t.Dispose();
            return f;
        }
        using (OdeSolution solution = Ode.Solve(Careless, y0, Times))
            solution.Final[0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        using (no_grad())
        using (OdeSolution solution = Ode.Solve(Careless, y0, Times))
            solution.Final[0, 0].ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
        y0.shape.Should().Equal(2, 3);
        y0[0, 0].ToDouble().Should().Be(1);
    }

    [Fact]
    public void A_right_hand_side_that_returns_something_else_is_named()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(2, 4, ScalarType.Float64);
        foreach (OdeMethod method in OdeMethod.All)
        {
            var options = new OdeSolverOptions { Method = method, StepSize = method.IsAdaptive ? null : 0.1 };
            foreach (int from in new[] { 0, 1, 3 })
            {
                Refused<InvalidOperationException>(y => null!, "*right-hand side*null*dy/dt*");
                Refused<InvalidOperationException>(y => { Tensor f = -y; f.Dispose(); return f; }, "*right-hand side*disposed*");
                Refused<InvalidOperationException>(y => y.sum(), "*right-hand side*[2, 4]*");
                Refused<InvalidOperationException>(y => y.to(ScalarType.Float32), "*right-hand side*Float32*Float64*");
                Refused<InvalidOperationException>(
                    y => nn.functional.linear(y, ones(7, 9, ScalarType.Float64)), "*right-hand side failed*[2, 4]*");
                Refused<NotSupportedException>(y => throw new NotSupportedException("mine"), "mine");

                void Refused<T>(Func<Tensor, Tensor> wrong, string message)
                    where T : Exception
                {
                    int calls = 0;
                    Action act = () => Ode.Solve((t, y) => calls++ < from ? -y : wrong(y), y0, Times, options);
                    act.Should().Throw<T>(method.Name).WithMessage(message).Which.Message.Should().NotContain("\n");
                }
            }
        }
    }

    [Fact]
    public void Tensors_and_modules_that_are_disposed_of_are_named()
    {
        using Tensor y0 = ones(2, 3);
        Tensor dead = ones(2, 3);
        dead.Dispose();
        Tensor deadTimes = tensor(new[] { 0.0, 1.0 });
        deadTimes.Dispose();
        var dynamics = new DenseDynamics(3);
        var convolution = new ConvolutionalDynamics(2);
        var block = new OdeBlock(new DenseDynamics(3));
        dynamics.Dispose();
        convolution.Dispose();
        block.Dispose();
        Dead(() => Ode.Solve(Problems.Decay, dead, Times), "*initial state*");
        Dead(() => Ode.Solve(Problems.Decay, y0, deadTimes), "*times*");
        Dead(() => Ode.Solve(Problems.Decay, y0, Times, null, [dead]), "*parameter*");
        Dead(() => Ode.Solve((t, y, arguments) => -y, y0, Times, [dead]), "*argument 0*");
        Dead(() => Ode.Solve((t, y, arguments) => -y, dead, Times, [y0]), "*initial state*");
        Dead(() => Ode.Solve((Tensor t, IReadOnlyList<Tensor> y) => y, [y0, dead], Times), "*Part 1*");
        foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Radau5 })
        {
            var options = new OdeSolverOptions { Method = method };
            Dead(() => Ode.Solve(dynamics, y0, Times, options), "*weight*");
            Dead(() => Ode.Solve(convolution, ones(1, 2, 4, 4), Times, options), "*weight*");
            Dead(() => block.Solve(y0, options), "*weight*");
            Dead(() => Ode.Solve(dynamics, y0, Times, options with { Gradient = GradientMethod.Direct() }), "*weight*");
        }
        Dead(() => dynamics.call(ones(1), y0), "*weight*");
        using var alive = new OdeBlock(new DenseDynamics(3));
        Dead(() => alive.call(dead), "*initial state*");
        Dead(() => alive.Dynamics.call(tensor(0.5f), dead), "*state*");

        static void Dead(Action act, string message) => act.Should().Throw<ObjectDisposedException>().WithMessage(message);
    }

    [Fact]
    public void What_is_null_is_named()
    {
        using Tensor y0 = ones(2, 3);
        Action[] acts =
        [
            () => Ode.Solve((Func<Tensor, Tensor, Tensor>)null!, y0, Times),
            () => Ode.Solve((nn.Module<Tensor, Tensor, Tensor>)null!, y0, Times),
            () => Ode.Solve(Problems.Decay, null!, Times), () => Ode.Solve(Problems.Decay, y0, null!),
            () => Ode.Solve(Problems.Decay, y0, Times, null, [null!]),
            () => Ode.Solve((t, y, arguments) => -y, y0, Times, [null!]),
            () => Ode.Solve((Tensor t, IReadOnlyList<Tensor> y) => y, [y0, null!], Times),
            () => _ = new OdeBlock(null!), () => _ = new OdeEvent(null!),
        ];
        foreach (Action act in acts)
            act.Should().Throw<ArgumentNullException>();
        using var block = new OdeBlock(new DenseDynamics(3));
        Action input = () => block.call(null!);
        input.Should().Throw<ArgumentNullException>();
        Action parts = () => Ode.Solve((Tensor t, IReadOnlyList<Tensor> y) => [y[0], null!], [y0, y0], Times);
        parts.Should().Throw<InvalidOperationException>().WithMessage("*part 1*");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Dynamics_name_states_of_another_width_or_type(bool withGradient)
    {
        using IDisposable? noGrad = withGradient ? null : no_grad();
        foreach (TimeDependence time in Enum.GetValues<TimeDependence>())
        {
            using var dense = new DenseDynamics(3, time: time);
            using var block = new OdeBlock(dense);
            foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Rk4, OdeMethod.Radau5 })
            {
                foreach (Tensor state in new[] { ones(2, 4), ones(2), ones([]), ones(2, 3, ScalarType.Float64),
                    ones(2, 3, ScalarType.BFloat16) })
                    Refused(() => block.Solve(state, new OdeSolverOptions { Method = method }));
                Refused(() => block.Solve(ones(2, 3, ScalarType.Int64)));
            }
            Refused(() => dense.call(ones(5, 1), ones(2, 3)));
            Refused(() => dense.call(ones(2, 1, ScalarType.Float64), ones(2, 3)));
        }
        using var images = new ConvolutionalDynamics(2);
        foreach (Tensor state in new[] { ones(1, 3, 4, 4), ones(2, 4, 4), ones(1, 2, 4, 4, ScalarType.Float64) })
            Refused(() => Ode.Solve(images, state, Times));
        using var conditional = new DenseDynamics(3, conditions: 2);
        Refused(() => conditional.Evaluate(tensor(0f), ones(2, 3), ones(2, 3)));
        Refused(() => conditional.Evaluate(tensor(0f), ones(2, 3), ones(2, 2, ScalarType.Float64)));

        static void Refused(Action act) => act.Should().Throw<ArgumentException>().Which.Message.Should().NotContain("\n");
    }

    [Fact]
    public void A_module_of_the_users_that_does_not_fit_is_said_in_one_line()
    {
        using Tensor y0 = ones(2, 4);
        using var module = new Wrapped(nn.Linear(3, 3));
        foreach (GradientMethod gradient in new[] { GradientMethod.Direct(), GradientMethod.Checkpointed(), GradientMethod.Adjoint() })
        {
            Action act = () => Ode.Solve(module, y0, Times, new OdeSolverOptions { Gradient = gradient });
            act.Should().Throw<InvalidOperationException>()
                .WithMessage("*right-hand side*[2, 4]*").Which.Message.Should().NotContain("\n").And.NotContain("frame");
        }
    }

    [Fact]
    public void A_row_that_blows_up_is_named_alone_and_as_such()
    {
        using IDisposable noGrad = no_grad();
        foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Bosh3, OdeMethod.Dopri8, OdeMethod.Tsit5, OdeMethod.Radau5,
            OdeMethod.Kvaerno5 })
            foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
                foreach (double direction in new[] { 1.0, -1.0 })
                {
                    // y = 1 / (1/y₀ − t): the second row has its pole at 0.5.
                    using Tensor y0 = tensor(new[] { 0.5, 2.0, 0.1, -3 }, [4, 1]).to(type);
                    using Tensor times = tensor(new[] { 0.0, direction });
                    Action act = () => Ode.Solve((t, y) => direction * y * y, y0, times, new OdeSolverOptions { Method = method });
                    OdeSolverException exception = act.Should()
                        .Throw<OdeSolverException>().WithMessage("The solution blows up*batch row 1:*").Which;
                    exception.Rows.Should().Equal(1);
                    exception.Time.Should().BeApproximately(0.5 * direction, 1e-3);
                    exception.Message.Should().NotContain("oosen");
                }
    }

    [Fact]
    public void A_step_that_becomes_too_small_for_another_reason_is_no_blow_up()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(2, 1, ScalarType.Float64);
        using Tensor size = tensor(new[] { 1e3, 0 }, [2, 1]);
        Action act = () => Ode.Solve((t, y) => (1e3 * t).cos() * size, y0, Times, new OdeSolverOptions { MinimumStep = 0.01 });
        OdeSolverException exception = act.Should().Throw<OdeSolverException>().WithMessage("The step size became too small*").Which;
        exception.Rows.Should().Equal(0);
    }

    [Fact]
    public void Numbers_that_are_none_at_the_start_are_told_at_once()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 4.0, 1, double.NaN }, [3, 1]);
        using Tensor good = tensor(new[] { 4.0, 1, 9 }, [3, 1]);
        foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Radau5, OdeMethod.Adams })
        {
            int calls = 0;
            Action state = () => Ode.Solve((t, y) => { calls++; return -y; }, y0, Times, new OdeSolverOptions { Method = method });
            state.Should().Throw<OdeSolverException>().WithMessage("*NaN*batch row 2*initial state*").Which.Rows.Should().Equal(2);
            calls.Should().BeLessThan(300);
            Action slope = () => Ode.Solve((t, y) => (y - 2).sqrt(), good, Times, new OdeSolverOptions { Method = method });
            slope.Should().Throw<OdeSolverException>().WithMessage("*NaN*batch row 1*right-hand side*").Which.Rows.Should().Equal(1);
        }
        using OdeSolution rows = Ode.Solve(Problems.Decay, y0, Times, new OdeSolverOptions { PerRow = true });
        rows.Status.Should().Equal(RowStatus.Completed, RowStatus.Completed, RowStatus.NonFinite);
        rows.Statistics.RejectedSteps.Should().Be(1);
    }

    private sealed class InPlace : nn.Module<Tensor, Tensor, Tensor>
    {
        public InPlace()
            : base(nameof(InPlace))
        {
        }

        public override Tensor forward(Tensor t, Tensor y) => y.neg_();
    }

    private sealed class Wrapped : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Linear _inner;

        public Wrapped(Linear inner)
            : base(nameof(Wrapped))
        {
            _inner = inner;
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor y) => _inner.call(y);
    }
}
