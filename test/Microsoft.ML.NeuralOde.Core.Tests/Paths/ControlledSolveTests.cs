namespace Microsoft.ML.NeuralOde.Core.Tests.Paths;

public class ControlledSolveTests
{
    private static readonly OdeSolverOptions Sharp = new() { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-11 };

    [Fact]
    public void An_integral_of_sampled_input_is_exact_row_by_row()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor samples = tensor(new[,] { { 0.0, 2, 1 }, { 4, 0, -2 } }).unsqueeze(2),
            times = tensor(new[,] { { 0.0, 1, 3 }, { 0, 2, 2.5 } });
        foreach (bool perRow in new[] { false, true })
        {
            Tensor linear = Integral(ControlPath.Linear(new SeriesBatch(samples, times), time: false), perRow);
            linear.data<double>().ToArray()
                .Zip(new[] { 1 + 3, 4 - 0.5 - 1.0 }, (found, expected) => Math.Abs(found - expected)).Max().Should().BeLessThan(1e-9);
            Tensor held = Integral(ControlPath.Rectilinear(new SeriesBatch(samples, times), time: false), perRow);
            held.data<double>()
                .ToArray().Zip(new[] { 4.0, 8 + 0 - 1.0 }, (found, expected) => Math.Abs(found - expected)).Max().Should().BeLessThan(1e-9);
        }

        static Tensor Integral(ControlPath control, bool perRow) =>
            Ode.Solve((Tensor t, Tensor y, Tensor u) => u, zeros(2, 1, ScalarType.Float64), tensor(new[] { 0.0, 3 }), control,
                Sharp with { PerRow = perRow }).Final;
    }

    [Theory]
    [InlineData(PathInterpolation.Linear)]
    [InlineData(PathInterpolation.NaturalCubic)]
    public void Gradients_reach_the_samples_and_their_times_by_every_method(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor samples = randn(2, 4, 1, ScalarType.Float64), times = tensor(new[,] { { 0.0, 0.7, 1.1, 2 }, { -0.2, 0.5, 1.6, 1.8 } });
        Tensor weight = tensor(0.7).requires_grad_();
        Tensor Loss(Tensor x, Tensor t, GradientMethod? gradient) => Ode.Solve(
            (Tensor time, Tensor y, Tensor u) => u.sin() - weight * y, ones(2, 1, ScalarType.Float64), tensor(new[] { 0.0, 2 }),
            ControlPath.Create(new SeriesBatch(x, t), interpolation, time: false), Sharp with { Gradient = gradient },
            [weight]).Final.square().sum();
        foreach (GradientMethod gradient in new[] { GradientMethod.Direct(), GradientMethod.Checkpointed(), GradientMethod.Adjoint() })
        {
            Tensor x = samples.clone().requires_grad_(), t = times.clone().requires_grad_();
            Loss(x, t, gradient).backward();
            foreach ((Tensor input, Func<Tensor, Tensor> loss) in new (Tensor, Func<Tensor, Tensor>)[]
                { (x, at => Loss(at, times, null)), (t, at => Loss(samples, at, null)) })
            {
                Tensor direction = randn_like(input.detach());
                double difference =
                    ((loss(input.detach() + direction * 1e-4) - loss(input.detach() - direction * 1e-4)) / 2e-4).item<double>();
                (input.grad! * direction).sum().item<double>().Should().BeApproximately(difference, 1e-4, gradient.ToString());
            }
        }
    }

    [Fact]
    public void A_module_is_driven_and_wrong_controls_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath control = ControlPath.HermiteCubic(new SeriesBatch(randn(3, 5, 2)), time: false);
        using var driven = new Driven();
        using OdeSolution solution = Ode.Solve(driven, zeros(3, 2), tensor(new[] { 0.0, 4 }), control);
        solution.Final.sum().backward();
        driven.get_parameter("weight")!.grad!.isfinite().all().item<bool>().Should().BeTrue();
        ((Action)(() => Ode.Solve(driven, zeros(2, 2), tensor(new[] { 0.0, 4 }), control))).Should()
            .Throw<ArgumentException>().WithMessage("*3 rows*[2, 2]*");
        ((Action)(() => Ode.Solve(driven, zeros(3, 2, ScalarType.Float64), tensor(new[] { 0.0, 4 }), control))).Should()
            .Throw<ArgumentException>().WithMessage("*Float32*Float64*");
        control.Dispose();
        ((Action)(() => Ode.Solve(driven, zeros(3, 2), tensor(new[] { 0.0, 4 }), control))).Should().Throw<ObjectDisposedException>();
    }

    private sealed class Driven : nn.Module<Tensor, Tensor, Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Parameter _weight = nn.Parameter(tensor(0.5f));

        public Driven()
            : base(nameof(Driven)) => register_parameter("weight", _weight);

        public override Tensor forward(Tensor t, Tensor y, Tensor u) => u * _weight - y;
    }
}
