using Microsoft.ML.NeuralOde.PathIntegrals;
using Microsoft.ML.NeuralOde.Stepping;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.Stepping;

/// <summary>The equation as an object: what each kind of it knows, and that rows of it are objects of their own.</summary>
public sealed class VectorFieldTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _y = tensor(new[] { 1.0, 2.0, 3.0, 4.0, 5.0, 6.0 }, [3, 2]);
    private readonly Tensor _time = tensor(0.5);
    private readonly Tensor _w = tensor(new[] { -2.0 }).requires_grad_();
    private readonly Tensor _rates = tensor(new[] { -1.0, -2.0, -3.0 }, [3, 1]).requires_grad_();

    public void Dispose() => _scope.Dispose();

    /// <summary>What a kind of equation is to know.</summary>
    /// <param name="Equation">The equation.</param>
    /// <param name="Value">f at t = 0.5 and y = ((1, 2), (3, 4), (5, 6)).</param>
    /// <param name="Parameters">Its parameters.</param>
    /// <param name="Facts">Those that hold.</param>
    private sealed record Kind(VectorField Equation, Tensor Value, Tensor[] Parameters, Facts Facts);

    [Flags]
    private enum Facts
    {
        None = 0,
        NamesParameters = 1,
        MayHideParameters = 2,
        IsComplete = 4,
        IsAnalytic = 8,
        HasModule = 16,
        HasRows = 32,
    }

    [Theory]
    [InlineData("module")]
    [InlineData("dense")]
    [InlineData("convolution")]
    [InlineData("function, parameters unknown")]
    [InlineData("function, parameters named")]
    [InlineData("function, none wanted")]
    [InlineData("parts")]
    [InlineData("row arguments")]
    [InlineData("row arguments, none wanted")]
    [InlineData("module with row arguments")]
    [InlineData("dense with a condition")]
    [InlineData("path")]
    public void Each_kind_knows_what_there_is_to_know_of_it(string name)
    {
        Kind kind = Of(name);
        Tensor state = State(name);
        kind.Equation.Evaluate(_time.to(state.dtype), state).allclose(kind.Value).Should().BeTrue();
        kind.Equation.Parameters.Should().HaveSameCount(kind.Parameters);
        kind.Equation.Parameters.Zip(kind.Parameters).All(pair => ReferenceEquals(pair.First, pair.Second)).Should().BeTrue();
        Facts found = (kind.Equation.NamesParameters ? Facts.NamesParameters : 0)
            | (kind.Equation.MayHideParameters ? Facts.MayHideParameters : 0)
            | (kind.Equation.IsComplete ? Facts.IsComplete : 0) | (kind.Equation.Analytic is null ? 0 : Facts.IsAnalytic)
            | (kind.Equation.Module is null ? 0 : Facts.HasModule)
            | (ReferenceEquals(kind.Equation.OfRows([0]), kind.Equation) ? 0 : Facts.HasRows);
        found.Should().Be(kind.Facts);
        kind.Equation.OfRows(null).Should().BeSameAs(kind.Equation);
    }

    [Fact]
    public void Rows_of_an_equation_are_another_object_with_the_arguments_of_these_rows()
    {
        var whole = new RowArgumentField((t, y, arguments) => arguments[0] * y, [_rates], null);
        VectorField two = whole.OfRows([2, 0]);
        Tensor state = ones(2, 1, ScalarType.Float64);
        two.Evaluate(_time, state).data<double>().ToArray().Should().Equal(-3, -1);
        // Rows of rows count within those.
        two.OfRows([1]).Evaluate(_time, ones(1, 1, ScalarType.Float64)).data<double>().ToArray().Should().Equal(-1);
        whole.Evaluate(_time, ones(3, 1, ScalarType.Float64)).data<double>().ToArray().Should().Equal(-1, -2, -3);
        two.Evaluate(_time, state).sum().backward();
        _rates.grad!.data<double>().ToArray().Should().Equal(1, 0, 1);
    }

    [Fact]
    public void Buffers_and_dropout_are_found_through_functions_and_modules_and_not_looked_for_where_there_are_none()
    {
        using var layer = new Normalising();
        using var scaled = new Scaled(1);
        using var dense = new DenseDynamics(2, [3]);
        var closure = new FunctionField((t, y) => layer.call(t, y));
        VectorField[] disturbing = [new ModuleField(layer), new FunctionField(layer.forward), closure];
        VectorField[] quiet = [new ModuleField(scaled), new ModuleField(dense), new FunctionField((t, y) => -y)];
        foreach (VectorField equation in disturbing)
        {
            equation.Buffers.Should().HaveCountGreaterThanOrEqualTo(2, "a batch normalisation has a running mean and variance");
            equation.Reach.Dropout.Should().Contain("Dropout");
        }
        foreach (VectorField equation in quiet)
        {
            equation.Buffers.Should().BeEmpty();
            equation.Reach.Dropout.Should().BeNull();
        }
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    [InlineData("adjoint")]
    [InlineData("reversible")]
    public void Solves_on_many_threads_at_once_with_one_module_do_not_disturb_each_other(string gradient)
    {
        // y' = c y / 2 with a rate c of each row's own, whose rows leave the batch one after the other.
        using var dynamics = new Controlled();
        double[] results = new double[16];
        Parallel.For(0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            using DisposeScope scope = NewDisposeScope();
            double factor = 1 + (i % 4);
            Tensor rates = tensor(new[] { -0.1 * factor, -1.0 * factor, -3.0 * factor }, [3, 1]).requires_grad_();
            Tensor y0 = ones(3, 1, ScalarType.Float64);
            OdeSolution solution = Ode.Solve(dynamics, y0, tensor(new[] { 0.0, 1.0 }), rates, Options(gradient));
            // The parameter is everybody's: only the arguments' gradients are asked for.
            Tensor derivative = autograd.grad([solution.Final.sum()], [rates])[0];
            double[] expected = [.. rates.detach().data<double>().ToArray().Select(rate => 0.5 * Math.Exp(0.5 * rate))];
            double[] states = [.. rates.detach().data<double>().ToArray().Select(rate => Math.Exp(0.5 * rate))];
            results[i] = derivative.data<double>().ToArray().Zip(expected)
                .Concat(solution.Final.detach().data<double>().ToArray().Zip(states))
                .Max(pair => Math.Abs(pair.First - pair.Second));
        });
        results.Should().OnlyContain(distance => distance < 1e-4);
    }

    [Theory]
    [InlineData("checkpointed", true)]
    [InlineData("checkpointed", false)]
    [InlineData("adjoint", true)]
    [InlineData("reversible", true)]
    public void Arguments_of_rows_get_their_gradients_where_steps_of_single_rows_are_rejected(string gradient, bool keepsEachState)
    {
        // y' = c cos(c t) y, a rate that asks for steps of its own from each row: from a first step that suits none of the fast ones.
        OdeSolverOptions options = Options(gradient) with
        {
            FirstStep = 0.5,
            RelativeTolerance = gradient == "reversible" ? 1e-5 : 1e-7,
            AbsoluteTolerance = gradient == "reversible" ? 1e-6 : 1e-9,
            Gradient = gradient == "checkpointed" ? GradientMethod.Checkpointed(keepsEachState ? null : 2) : GradientMethod.Parse(gradient),
        };
        Tensor c = tensor(new[] { 0.5, 3.0, 9.0, 20.0 }, [4, 1]).requires_grad_();
        Tensor y0 = ones(4, 1, ScalarType.Float64), times = tensor(new[] { 0.0, 1.0 });
        OdeSolution solution = Ode.Solve((t, y, a) => a[0] * (a[0] * t).cos() * y, y0, times, [c], options);
        solution.Statistics.RejectedSteps.Should().BePositive();
        solution.Final.sum().backward();
        double[] expected = [.. c.detach().data<double>().ToArray().Select(rate => Math.Cos(rate) * Math.Exp(Math.Sin(rate)))];
        c.grad!.data<double>().ToArray().Zip(expected).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-3);
    }

    /// <summary>Closed form: y(1) = Σ (1 − e⁻¹) p q for y′ = p q − y, which is 2 a² (1 − e⁻¹) where q = 2 p = 2 a.</summary>
    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    [InlineData("adjoint")]
    public void Arguments_that_are_one_tensor_or_made_of_each_other_get_their_gradients_once(string gradient)
    {
        foreach (bool isOne in new[] { true, false })
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor a = tensor(new[] { 0.3, -0.8 }, [2, 1]).requires_grad_();
            double factor = isOne ? 1 : 2;
            OdeSolution solution = Ode.Solve(
                (Tensor t, Tensor y, IReadOnlyList<Tensor> p) => p[0] * p[1] - y, zeros(2, 1, ScalarType.Float64),
                tensor(new[] { 0.0, 1.0 }),
                isOne ? [a, a] : [a, a * factor], Options(gradient) with { PerRow = false });
            solution.Final.sum().backward();
            double[] expected = [.. new[] { 0.3, -0.8 }.Select(value => 2 * factor * value * (1 - Math.Exp(-1)))];
            a.grad!.data<double>().ToArray().Zip(expected).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-5);
        }
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    [InlineData("adjoint")]
    public void A_parameter_that_is_named_twice_gets_its_gradient_once(string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rate = tensor(0.7).requires_grad_();
        OdeSolution solution = Ode.Solve(
            (Tensor t, Tensor y) => -rate * y, ones(1, ScalarType.Float64), tensor(new[] { 0.0, 1.0 }),
            Options(gradient) with { PerRow = false }, [rate, rate]);
        solution.Final.sum().backward();
        rate.grad!.item<double>().Should().BeApproximately(-Math.Exp(-0.7), 1e-5);
    }

    private static OdeSolverOptions Options(string gradient) => new()
    {
        PerRow = true,
        Gradient = GradientMethod.Parse(gradient),
        Method = gradient == "reversible" ? OdeMethod.ReversibleHeun : OdeMethod.Dopri5,
        // The estimate of the reversible method is of first order: it takes ten times as many steps for a hundredth of the tolerance.
        RelativeTolerance = gradient == "reversible" ? 1e-4 : 1e-6,
        AbsoluteTolerance = gradient == "reversible" ? 1e-5 : 1e-8,
    };

    private Tensor State(string name) => name switch
    {
        "convolution" => zeros(1, 2, 4, 4),
        "path" => cat([_y, zeros(3, 1, ScalarType.Float64)], 1),
        _ => _y,
    };

    private Kind Of(string name)
    {
        Tensor w = _w, rates = _rates;
        Tensor scaled = _y * _w.detach(), byRow = _y * _rates.detach();
        switch (name)
        {
            case "module":
                var module = new Scaled(-2);
                return new(
                    new ModuleField(module), scaled, [module.Weight],
                    Facts.NamesParameters | Facts.MayHideParameters | Facts.HasModule);
            case "dense":
                DenseDynamics dense = Zero(new DenseDynamics(2, [3]));
                return new(
                    new ModuleField(dense), zeros_like(_y), [.. dense.parameters()],
                    Facts.NamesParameters | Facts.IsComplete | Facts.IsAnalytic | Facts.HasModule);
            case "convolution":
                ConvolutionalDynamics images = Zero(new ConvolutionalDynamics(2, 1));
                return new(
                    new ModuleField(images), zeros(1, 2, 4, 4), [.. images.parameters()],
                    Facts.NamesParameters | Facts.IsComplete | Facts.IsAnalytic | Facts.HasModule);
            case "function, parameters unknown":
                return new(new FunctionField((t, y) => w * y), scaled, [], Facts.MayHideParameters);
            case "function, parameters named":
                return new(new FunctionField((t, y) => w * y, [w]), scaled, [w], Facts.NamesParameters | Facts.MayHideParameters);
            case "function, none wanted":
                return new(new FunctionField((t, y) => w * y, []), scaled, [], Facts.NamesParameters);
            case "parts":
                // (y₀, y₁)' = (w y₀, w y₁), a part a column.
                var layout = new StateLayout([_y.narrow(1, 0, 1), _y.narrow(1, 1, 1)]);
                return new(
                    FunctionField.OfParts((t, parts) => [w * parts[0], w * parts[1]], layout, [w]), scaled, [w],
                    Facts.NamesParameters | Facts.MayHideParameters);
            case "row arguments":
                return new(
                    new RowArgumentField((t, y, a) => a[0] * y, [rates], null), byRow, [rates],
                    Facts.NamesParameters | Facts.MayHideParameters | Facts.HasRows);
            case "row arguments, none wanted":
                return new(new RowArgumentField((t, y, a) => a[0] * y, [rates], []), byRow, [rates], Facts.NamesParameters | Facts.HasRows);
            case "module with row arguments":
                var controlled = new Controlled();
                return new(
                    new RowArgumentField(controlled, (t, y, a) => controlled.call(t, y, a[0]), [rates]), byRow / 2,
                    [controlled.Weight, rates],
                    Facts.NamesParameters | Facts.MayHideParameters | Facts.HasModule | Facts.HasRows);
            case "dense with a condition":
                DenseDynamics conditional = Zero(new DenseDynamics(2, [3], conditions: 1));
                return new(
                    new RowArgumentField(conditional, (t, y, a) => conditional.Evaluate(t, y, a[0]), [rates]), zeros_like(_y),
                    [.. conditional.parameters(), rates],
                    Facts.NamesParameters | Facts.IsComplete | Facts.HasModule | Facts.HasRows);
            case "path":
                // The divergence of −2 y in two dimensions is −4.
                var linear = new Scaled(-2);
                var request = new PathRequest(PathQuantities.Divergence, TraceEstimator.Exact, null, PerRow: false);
                return new(
                    new PathField(linear, PathRate.Create(linear, _y, request)), cat([scaled, full([3, 1], -4.0, ScalarType.Float64)], 1),
                    [linear.Weight],
                    Facts.NamesParameters | Facts.MayHideParameters | Facts.HasModule);
            default:
                throw new ArgumentOutOfRangeException(nameof(name), name, null);
        }
    }

    private static T Zero<T>(T module)
        where T : Module
    {
        module.to(module is DenseDynamics ? ScalarType.Float64 : ScalarType.Float32);
        using IDisposable noGrad = no_grad();
        foreach (Parameter parameter in module.parameters())
            parameter.zero_();
        return module;
    }

    /// <summary>w y.</summary>
    private sealed class Scaled : Module<Tensor, Tensor, Tensor>
    {
        public Scaled(double weight)
            : base(nameof(Scaled))
        {
            Weight = new Parameter(tensor(new[] { weight }));
            RegisterComponents();
        }

        public Parameter Weight { get; }

        public override Tensor forward(Tensor t, Tensor y) => Weight * y;
    }

    /// <summary>c y / 2 under a control c.</summary>
    private sealed class Controlled : Module<Tensor, Tensor, Tensor, Tensor>
    {
        public Controlled()
            : base(nameof(Controlled))
        {
            Weight = new Parameter(tensor(new[] { 0.5 }));
            RegisterComponents();
        }

        public Parameter Weight { get; }

        public override Tensor forward(Tensor t, Tensor y, Tensor c) => Weight * c * y;
    }

    private sealed class Normalising : Module<Tensor, Tensor, Tensor>
    {
        private readonly BatchNorm1d _norm = BatchNorm1d(2);
        private readonly Dropout _dropout = Dropout();

        public Normalising()
            : base(nameof(Normalising)) => RegisterComponents();

        public override Tensor forward(Tensor t, Tensor y) => _dropout.call(_norm.call(y));
    }
}
