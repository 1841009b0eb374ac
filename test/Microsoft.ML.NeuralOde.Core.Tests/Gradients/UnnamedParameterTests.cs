using Microsoft.ML.NeuralOde.Core.Tests.Support;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>
/// Right-hand sides that depend on tensors which a gradient method does not know of: the gradients would be missing without a word.
/// </summary>
public sealed class UnnamedParameterTests : IDisposable
{
    private static readonly Tensor StaticWeight = tensor(new[] { 0.5 }).requires_grad_().DetachFromDisposeScope();

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _w;
    private readonly Tensor _b;
    private readonly Tensor _y0;
    private readonly Tensor _times;

    public UnnamedParameterTests()
    {
        _w = tensor(new[] { 0.7, 1.1 }).requires_grad_();
        _b = tensor(new[] { 0.2, -0.3 }).requires_grad_();
        _y0 = tensor(new[] { 1.0, 2.0, 3.0, 4.0 }, [2, 2]);
        _times = tensor(new[] { 0.0, 0.5 });
    }

    public static TheoryData<string> Gradients => ["adjoint", "checkpointed", "reversible"];

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string gradient in new[] { "adjoint", "checkpointed", "reversible" })
                foreach (string kind in new[]
                {
                    "no names", "one of two", "one of two, deep", "names of others", "static", "not a leaf", "row arguments",
                    "row arguments, one of two",
                    "row arguments with gradients", "tuple", "tuple, one of two", "event", "rows", "rows with events", "module's forward",
                })
                    data.Add(gradient, kind);
            return data;
        }
    }

    public void Dispose() => _scope.Dispose();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Functions_are_refused_that_use_tensors_nobody_named(string gradient, string kind)
    {
        OdeSolverOptions options = With(gradient);
        Tensor w = _w, b = _b;
        (Action Solve, string Name) found = kind switch
        {
            "no names" => (() => Ode.Solve((t, y) => -w * y, _y0, _times, options), "w"),
            "one of two" => (() => Ode.Solve((t, y) => -w * y + b, _y0, _times, options, [w]), "b"),
            "one of two, deep" =>
            (() => Ode.Solve(Deep(new Dictionary<string, List<Tensor>> { ["all"] = [w, b] }), _y0, _times, options, [w]), "layers"),
            "names of others" => (() => Ode.Solve((t, y) => -w * y, _y0, _times, options, [b]), "w"),
            "static" => (() => Ode.Solve(static (t, y) => -StaticWeight * y, _y0, _times, options, [b]), nameof(StaticWeight)),
            "not a leaf" => (() => Normalised(options), "unit"),
            "row arguments" => (() => Ode.Solve((t, y, a) => -w * y + a[0], _y0, _times, [ones_like(_y0)], options), "w"),
            "row arguments, one of two" =>
            (() => Ode.Solve((t, y, a) => -w * y + a[0] * b, _y0, _times, [ones_like(_y0)], options, [b]), "w"),
            "row arguments with gradients" =>
            (() => Ode.Solve((t, y, a) => -w * y + a[0], _y0, _times, [ones_like(_y0).requires_grad_()], options), "w"),
            "tuple" => (() => Ode.Solve((t, parts) => [-w * parts[0]], [_y0], _times, options), "w"),
            "tuple, one of two" => (() => Ode.Solve((t, parts) => [-w * parts[0], b + parts[1]], [_y0, _y0], _times, options, [w]), "b"),
            "event" => (() =>
                Ode.Solve((t, y) => -w * y + b, _y0, _times, options with { Events = [new OdeEvent((t, y) => y.sum() - 5)] }, [w]), "b"),
            "rows" => (() => Ode.Solve((t, y) => -w * y + b, _y0, _times, options with { PerRow = true }, [w]), "b"),
            "rows with events" =>
            (() => Ode.Solve((t, y) => -w * y, _y0, _times, options with { PerRow = true, Events = [new OdeEvent((t, y) => y.sum() - 1)] }),
                "w"),
            _ => (() => Ode.Solve(new Complete().forward, _y0, _times, options), "weight"),
        };
        ArgumentException thrown = found.Solve.Should().Throw<ArgumentException>().Which;
        thrown.Message.Should().Contain("'parameters'").And.Contain("Direct()").And.Contain(gradient);
        thrown.Message.Should().Contain(found.Name);

        static Func<Tensor, Tensor, Tensor> Deep(Dictionary<string, List<Tensor>> layers) =>
            (t, y) => -layers["all"][0] * y + layers["all"][1];

        void Normalised(OdeSolverOptions options)
        {
            Tensor unit = w / w.norm();
            Ode.Solve((t, y) => -unit * y + b, _y0, _times, options, [b]);
        }
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Modules_are_refused_that_did_not_register_what_they_use(string gradient)
    {
        OdeSolverOptions options = With(gradient);
        // A block registers what its module has in fields, but not in lists or closures.
        foreach (Action solve in new Action[]
        {
            () => Ode.Solve(new Forgetful(), _y0, _times, options), () => Ode.Solve(new Forgetful(), _y0, 0, 1, options),
            () => Ode.Solve(new Forgetful(), _y0.clone().requires_grad_(), 0, 1, options), () =>
            new PathRegularization { JacobianNorm = 1 }.Solve(new Forgetful(), _y0, 0, 1, options),
        })
            solve.Should().Throw<ArgumentException>().WithMessage("*Forgetful*_first.weight*RegisterComponents*");
        foreach ((nn.Module<Tensor, Tensor, Tensor> module, string name) in new (nn.Module<Tensor, Tensor, Tensor>, string)[]
        {
            (new WithList(), "_layers[0].weight"), (new WithFunction(), "_inner"),
            (new WithoutEvaluator(new WithList()), "inner._layers[0]"),
        })
            foreach (Action solve in new Action[]
            {
                () => Ode.Solve(module, _y0, _times, options), () => Ode.Solve(module, _y0, 0, 1, options),
                () => new OdeBlock(module, 1, options).call(_y0), () => new OdeBlock(module).Solve(_y0, options),
                () => Ode.Solve(module, _y0, 0, 1, options with { Events = [new OdeEvent((t, y) => y.sum() - 5)] }),
                () => Ode.Solve(module, _y0.clone().requires_grad_(), 0, 1, options),
                () => new PathRegularization { KineticEnergy = 1 }.Solve(module, _y0, 0, 1, options),
                () => new PathRegularization { JacobianNorm = 1 }.Solve(module, _y0, 0, 1, options),
                () => new ContinuousFlow(2, [module], new ContinuousFlowOptions { Solver = options }).NegativeLogLikelihood(_y0),
            })
                solve.Should().Throw<ArgumentException>().WithMessage($"*{module.GetType().Name}*{name}*RegisterComponents*ModuleList*");
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Modules_with_row_arguments_are_refused_and_right_like_others(string gradient)
    {
        OdeSolverOptions options = With(gradient);
        Tensor c = ones_like(_y0).requires_grad_();
        foreach (Action solve in new Action[] { () => Ode.Solve(new Controlled(false), _y0, _times, [c], options), () =>
            Ode.Solve(new ControlledByOne(false), _y0, _times, c, options).Dispose() })
            solve.Should().Throw<ArgumentException>().WithMessage("*_layer.weight*RegisterComponents*");

        foreach (bool perRow in new[] { false, true })
        {
            using var several = new Controlled(true);
            using var one = new ControlledByOne(true);
            foreach ((nn.Module module, Func<OdeSolution> solve, nn.Module layer) in new (nn.Module, Func<OdeSolution>, nn.Module)[]
            {
                (several, () => Ode.Solve(several, _y0, _times, [c], options with { PerRow = perRow }), several.Layer),
                (one, () => Ode.Solve(one, _y0, _times, c, options with { PerRow = perRow }), one.Layer),
            })
            {
                var linear = (Linear)layer;
                double[][] found = Derivatives(solve, c, linear.weight!);
                OdeSolverOptions direct = options with { PerRow = perRow, Gradient = GradientMethod.Direct() };
                double[][] right =
                    Derivatives(() => Ode.Solve((t, y, a) => linear.call(y) * a[0], _y0, _times, [c], direct), c, linear.weight!);
                for (int i = 0; i < right.Length; i++)
                    found[i].Should().HaveSameCount(right[i]).And.Equal(right[i], (a, b) => Math.Abs(a - b) < 1e-5);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Conditional_dynamics_are_solved_under_a_condition_of_each_row(bool perRow)
    {
        using var dynamics = new DenseDynamics(2, [3], conditions: 4);
        dynamics.to(ScalarType.Float64);
        Tensor condition = randn(2, 4, ScalarType.Float64).requires_grad_();
        var options = new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-12, PerRow = perRow };
        Tensor weight = dynamics.parameters().First();
        double[][] found = Derivatives(() => Ode.Solve(dynamics, _y0, _times, condition, options), condition, weight);
        double[][] right = Derivatives(
            () => Ode.Solve((t, y) => dynamics.Evaluate(t, y, condition), _y0, _times,
                options with { PerRow = false, Gradient = GradientMethod.Direct() }), condition, weight);
        for (int i = 0; i < right.Length; i++)
            found[i].Should().Equal(right[i], (a, b) => Math.Abs(a - b) < 1e-7);
        ((Action)(() => Ode.Solve(dynamics, _y0, _times, ones(2, 3), options))).Should()
            .Throw<ArgumentException>().WithMessage("*[2, 3]*[batch, 4]*");
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void What_is_named_constant_or_unused_is_no_reason_to_refuse(string gradient)
    {
        OdeSolverOptions options = With(gradient);
        Tensor w = _w, b = _b, frozen = ones(2, ScalarType.Float64);
        using var encoder = nn.Linear(2, 2, dtype: ScalarType.Float64);
        Tensor unit = w / w.norm(), start = encoder.call(_y0), control = encoder.call(_y0).tanh(), alias = w.alias();
        int calls = 0;
        foreach ((string what, Func<OdeSolution> solve, bool isCounted) in new (string, Func<OdeSolution>, bool)[]
        {
            ("all named", () => Ode.Solve((t, y) => Count(-w * y + b * frozen), _y0, _times, options, [w, b]), true),
            ("an alias", () => Ode.Solve((t, y) => Count(-alias * y), _y0, _times, options, [w]), true),
            ("made of a named one", () => Ode.Solve((t, y) => Count(-unit * y), _y0, _times, options, [unit]), true),
            ("detached", () => Ode.Solve((t, y) => Count(-w * y + b.detach()), _y0, _times, options, [w]), true),
            ("the state's own", () => Ode.Solve((t, y) => Count(-w * y + encoder.weight!.detach()[0]), start, _times, options, [w]), true),
            ("the arguments' own", () => Ode.Solve((t, y, a) => Count(-w * y + a[0]), _y0, _times, [control], options, [w]), true),
            ("none wanted", () => Ode.Solve((t, y) => Count(-w * y), _y0, _times, options, []), true),
            ("none wanted beside arguments", () => Ode.Solve((t, y, a) => Count(-w * y + a[0]), _y0, _times, [_y0], options, []), true),
            ("a complete module", () => Ode.Solve(new Complete(), _y0, _times, options), false),
        })
        {
            // One more evaluation at first, for the sake of other tensors in the same closure.
            foreach (int more in new[] { 1, 0 })
            {
                calls = 0;
                using OdeSolution solution = solve();
                solution.Status.Should().Equal([RowStatus.Completed], what);
                if (isCounted)
                    calls.Should()
                    .BeInRange((int)solution.Statistics.FunctionEvaluations, (int)solution.Statistics.FunctionEvaluations + more, what);
            }
        }
        using (no_grad())
            Ode.Solve(new Forgetful(), _y0, _times, options).Dispose();

        Tensor Count(Tensor value)
        {
            calls++;
            return value;
        }
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void A_function_that_was_found_sound_speaks_for_no_other(string gradient)
    {
        OdeSolverOptions options = With(gradient);
        Tensor w = _w, b = _b;
        for (int repetition = 0; repetition < 2; repetition++)
        {
            Ode.Solve((t, y) => -w * y, _y0, _times, options, [w]).Dispose();
            Ode.Solve((t, y) => -w * y + b.detach(), _y0, _times, options, [w]).Dispose();
            Action other = () => Ode.Solve((t, y) => -w * y + b, _y0, _times, options, [w]).Dispose();
            other.Should().Throw<ArgumentException>().WithMessage("*'b'*");
        }
    }

    [Fact]
    public void Methods_that_reach_every_tensor_ask_for_no_names()
    {
        Tensor w = _w;
        foreach (OdeSolverOptions options in new[]
        {
            new OdeSolverOptions { Gradient = GradientMethod.Direct() },
            new OdeSolverOptions { Gradient = GradientMethod.Checkpointed(), Method = OdeMethod.Adams, StepSize = 0.01 },
        })
            foreach (Func<OdeSolution> solve in new Func<OdeSolution>[]
            {
                () => Ode.Solve((t, y) => -w * y, _y0, _times, options), () => Ode.Solve((t, y, a) => -w * y, _y0, _times, [_y0], options),
                () => Ode.Solve(new Decay(w), _y0, _times, options), () => Ode.Solve((t, y) => -w * y, _y0, _times, options, [ones(1)]),
            })
            {
                w.grad?.zero_();
                using OdeSolution solution = solve();
                solution.Final.sum().backward();
                for (int i = 0; i < 2; i++)
                    w.grad![i].ToDouble().Should().BeApproximately(-0.5 * (4 + 2 * i) * Math.Exp(-0.5 * (i == 0 ? 0.7 : 1.1)), 1e-3);
            }
    }

    [Fact]
    public void A_look_at_a_module_leaves_no_trace_and_is_not_repeated()
    {
        using var dynamics = new Noisy();
        dynamics.train();
        random.manual_seed(5);
        using Tensor expected = rand(3);
        random.manual_seed(5);
        // The norm is frozen: no parameter requires a gradient, and an evaluation has to tell.
        foreach (Parameter parameter in dynamics.parameters())
            parameter.requires_grad = false;
        using (OdeSolution solution = Ode.Solve(dynamics, _y0, 0, 1, With("checkpointed")))
            dynamics.Calls.Should().Be((int)solution.Statistics.FunctionEvaluations + 1);
        dynamics.Norm.get_buffer("num_batches_tracked")!.ToDouble().Should().Be(dynamics.Calls - 1);
        using (Tensor found = rand(3))
            found.data<float>().ToArray().Should().Equal(expected.data<float>().ToArray());
        dynamics.Calls = 0;
        using (OdeSolution solution = Ode.Solve(dynamics, _y0, 0, 1, With("checkpointed")))
            dynamics.Calls.Should().Be((int)solution.Statistics.FunctionEvaluations);
    }

    private static OdeSolverOptions With(string gradient) => new()
    {
        Gradient = GradientMethod.Parse(gradient),
        Method = gradient == "reversible" ? OdeMethod.ReversibleCoupling(OdeMethod.Dopri5) : OdeMethod.Dopri5,
        RelativeTolerance = 1e-7,
        AbsoluteTolerance = 1e-8,
    };

    private static double[][] Derivatives(Func<OdeSolution> solve, params Tensor[] of)
    {
        using DisposeScope scope = NewDisposeScope();
        using OdeSolution solution = solve();
        return [.. autograd.grad([solution.Final.sin().sum()], of).Select(derivative => derivative.contiguous().data<double>().ToArray())];
    }

    private sealed class Complete : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _layer = nn.Linear(2, 2, dtype: ScalarType.Float64);

        public Complete()
            : base(nameof(Complete)) => RegisterComponents();

        public override Tensor forward(Tensor t, Tensor y) => _layer.call(y).tanh();
    }

    private sealed class Forgetful() : nn.Module<Tensor, Tensor, Tensor>(nameof(Forgetful))
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(2, 2, dtype: ScalarType.Float64);

        public override Tensor forward(Tensor t, Tensor y) => _first.call(y).tanh();
    }

    private sealed class Decay(Tensor rate) : nn.Module<Tensor, Tensor, Tensor>(nameof(Decay))
    {
        private readonly Func<Tensor> _rate = () => rate;

        public override Tensor forward(Tensor t, Tensor y) => -_rate() * y;
    }

    private sealed class WithList : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _last = nn.Linear(2, 2, dtype: ScalarType.Float64);
        private readonly List<nn.Module<Tensor, Tensor>> _layers = [nn.Linear(2, 2, dtype: ScalarType.Float64)];

        public WithList()
            : base(nameof(WithList)) => RegisterComponents();

        public override Tensor forward(Tensor t, Tensor y) => _last.call(_layers[0].call(y).tanh());
    }

    private sealed class WithFunction : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _last = nn.Linear(2, 2, dtype: ScalarType.Float64);
        private readonly Func<Tensor, Tensor> _inner;

        public WithFunction()
            : base(nameof(WithFunction))
        {
            nn.Module<Tensor, Tensor> hidden = nn.Linear(2, 2, dtype: ScalarType.Float64);
            _inner = y => hidden.call(y);
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor y) => _last.call(_inner(y).tanh());
    }

    private sealed class Controlled : nn.Module<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _layer = nn.Linear(2, 2, dtype: ScalarType.Float64);

        public Controlled(bool registers)
            : base(nameof(Controlled))
        {
            if (registers)
                RegisterComponents();
        }

        public nn.Module Layer => _layer;

        public override Tensor forward(Tensor t, Tensor y, IReadOnlyList<Tensor> arguments) => _layer.call(y) * arguments[0];
    }

    private sealed class ControlledByOne : nn.Module<Tensor, Tensor, Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _layer = nn.Linear(2, 2, dtype: ScalarType.Float64);

        public ControlledByOne(bool registers)
            : base(nameof(ControlledByOne))
        {
            if (registers)
                RegisterComponents();
        }

        public nn.Module Layer => _layer;

        public override Tensor forward(Tensor t, Tensor y, Tensor argument) => _layer.call(y) * argument;
    }

    private sealed class Noisy : nn.Module<Tensor, Tensor, Tensor>
    {
        public Noisy()
            : base(nameof(Noisy)) => RegisterComponents();

        public BatchNorm1d Norm { get; } = nn.BatchNorm1d(2, dtype: ScalarType.Float64);

        public int Calls { get; set; }

        public override Tensor forward(Tensor t, Tensor y)
        {
            Calls++;
            return Norm.call(y);
        }
    }
}
