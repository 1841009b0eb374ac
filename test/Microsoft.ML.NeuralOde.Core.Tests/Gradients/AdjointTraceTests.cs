namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

public class AdjointTraceTests
{
    private static readonly OdeSolverOptions Tight =
        new() { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-11, AbsoluteTolerance = 1e-13 };

    [Fact]
    public void An_exponential_has_the_adjoint_and_the_growing_gradient_of_the_closed_form()
    {
        const double Rate = 0.7, End = 2;
        using var scope = NewDisposeScope();
        Tensor rate = tensor(Rate, requires_grad: true);
        double[] times = [0, 0.5, 1.25, End];
        using AdjointSolution found = Ode.SolveAdjoint(
            (t, y) => rate * y, tensor(new[] { 1.5 }), tensor(times), y => 0.5 * y.square().sum(), Tight, [("rate", rate)]);

        double last = 1.5 * Math.Exp(Rate * End);
        found.Loss.Should().BeApproximately(0.5 * last * last, 1e-9);
        found.Times.data<double>().ToArray().Should().Equal(times);
        found.ParameterGradients.Should().ContainSingle().Which.Name.Should().Be("rate");
        for (int i = 0; i < times.Length; i++)
        {
            found.States[i].ToDouble().Should().BeApproximately(1.5 * Math.Exp(Rate * times[i]), 1e-9);
            found.Adjoints[i].ToDouble().Should().BeApproximately(last * Math.Exp(Rate * (End - times[i])), 1e-8);
            found.ParameterGradients[0].Path[i].ToDouble().Should().BeApproximately(last * last * (End - times[i]), 1e-8);
        }
        found.Forward.FunctionEvaluations.Should().BePositive();
        found.Backward.FunctionEvaluations.Should().BePositive();
        found.States.requires_grad.Should().BeFalse();
    }

    [Theory]
    [InlineData(true, "dopri8")]
    [InlineData(false, "dopri8")]
    [InlineData(true, "radau5")]
    public void A_linear_system_has_the_adjoint_of_the_matrix_exponential(bool forward, string method)
    {
        using var scope = NewDisposeScope();
        Tensor a = tensor(new[,] { { 0.1, -1.3 }, { 0.9, -0.2 } });
        Tensor weights = tensor(new[] { 0.4, -2.0 });
        double[] times = forward ? [0, 0.3, 1] : [1, 0.4, -0.5];
        using AdjointSolution found = Ode.SolveAdjoint(
            (t, y) => mv(a, y), tensor(new[] { 1.0, 2.0 }), tensor(times), y => (y * weights).sum(),
            Tight with { Method = OdeMethod.Parse(method), RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 });

        found.ParameterGradients.Should().BeEmpty();
        for (int i = 0; i < times.Length; i++)
        {
            Tensor expected = mv(linalg.matrix_exp(a * (times[^1] - times[i])).t(), weights);
            found.Adjoints[i].allclose(expected, 1e-6, 1e-7).Should().BeTrue($"λ({times[i]}) is {found.Adjoints[i]}");
        }
    }

    [Fact]
    public void The_way_back_of_a_module_ends_at_the_gradients_of_an_exact_method()
    {
        using var scope = NewDisposeScope();
        random.manual_seed(3);
        using var f = (DenseDynamics)new DenseDynamics(3, [8], time: TimeDependence.Concatenate).to(ScalarType.Float64);
        Tensor y0 = randn([4, 3], ScalarType.Float64, requires_grad: true);
        Tensor times = tensor(new[] { 0, 0.2, 0.9 });
        using AdjointSolution found = Ode.SolveAdjoint(f, y0, times, y => y.pow(3).sum(), Tight);
        using (OdeSolution solution = Ode.Solve(f, y0, times, Tight with { Gradient = GradientMethod.Direct() }))
            solution.Final.pow(3).sum().backward();

        found.Adjoints[0].allclose(y0.grad!, 1e-7, 1e-8).Should().BeTrue();
        found.ParameterGradients.Select(parameter => parameter.Name)
            .Should().Equal(f.named_parameters().Select(parameter => parameter.name));
        foreach (((string name, Tensor path), (_, TorchSharp.Modules.Parameter parameter)) in found.ParameterGradients.Zip(
            f.named_parameters()))
        {
            path.shape.Should().Equal([3, .. parameter.shape]);
            path[0].allclose(parameter.grad!, 1e-7, 1e-8).Should().BeTrue(name);
            path[2].abs().max().ToDouble().Should().Be(0);
        }
    }

    [Fact]
    public void Gradients_that_parameters_have_already_and_a_frozen_parameter_are_left_alone()
    {
        using var scope = NewDisposeScope();
        using var f = (DenseDynamics)new DenseDynamics(2, []).to(ScalarType.Float64);
        (string Name, TorchSharp.Modules.Parameter Value) frozen = f.named_parameters().First();
        frozen.Value.requires_grad_(false);
        using AdjointSolution found = Ode.SolveAdjoint(f, ones(1, 2, ScalarType.Float64), tensor(new[] { 0.0, 1 }), y => y.sum());
        f.parameters().All(parameter => parameter.grad is null).Should().BeTrue();
        found.ParameterGradients.Select(parameter => parameter.Name).Should().NotContain(frozen.Name).And.NotBeEmpty();
    }

    public static TheoryData<string, string> WrongUses => new()
    {
        { "gradient", "*Gradient is direct*" },
        { "per row", "*neither events nor steps of single rows*" },
        { "one time", "*at least two output times*" },
        { "loss null", "*The loss returned null*" },
        { "loss vector", "*The loss returned shape [2]*must return one number*" },
        { "loss gone", "*The loss returned a tensor that is disposed of*" },
        { "loss NaN", "*must be finite*" },
        { "integer loss", "*floating-point*" },
        { "state type", "*floating-point tensor*" },
        { "hidden", "*weight*" },
    };

    [Theory]
    [MemberData(nameof(WrongUses))]
    public void Wrong_uses_are_refused_by_name(string use, string message)
    {
        using var scope = NewDisposeScope();
        Tensor y0 = use == "state type" ? tensor(new[] { 1, 2 }) : tensor(new[] { 1.0, 2.0 });
        Tensor times = use == "one time" ? tensor(new[] { 0.0 }) : tensor(new[] { 0.0, 1 });
        Tensor weight = tensor(2.0, requires_grad: use == "hidden");
        var options = new OdeSolverOptions { Gradient = use == "gradient" ? GradientMethod.Direct() : null, PerRow = use == "per row" };
        Func<Tensor, Tensor> loss = use switch
        {
            "loss null" => _ => null!,
            "loss vector" => y => y,
            "loss gone" => Gone,
            "loss NaN" => y => y.sum() * double.NaN,
            "integer loss" => y => y.sum().to(ScalarType.Int64),
            _ => y => y.sum(),
        };
        // A parameter that nobody named would get no gradient without a word.
        Exception? thrown = Record.Exception(() => Ode.SolveAdjoint((t, y) => -y * weight, y0, times, loss, options).Dispose());
        (thrown is ArgumentException or InvalidOperationException).Should().BeTrue($"{thrown}");
        thrown!.Message.Should().Match(message);

        static Tensor Gone(Tensor y)
        {
            Tensor value = y.sum();
            value.Dispose();
            return value;
        }
    }

    [Fact]
    public void A_loss_that_does_not_depend_on_the_state_has_no_adjoint()
    {
        using var scope = NewDisposeScope();
        using AdjointSolution found =
            Ode.SolveAdjoint((t, y) => -y, ones(2, ScalarType.Float64), tensor(new[] { 0.0, 1 }), y => tensor(3.0));
        found.Loss.Should().Be(3);
        found.Adjoints.abs().max().ToDouble().Should().Be(0);
    }
}
