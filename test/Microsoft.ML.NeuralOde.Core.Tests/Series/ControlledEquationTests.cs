namespace Microsoft.ML.NeuralOde.Core.Tests.Series;

public class ControlledEquationTests
{
    // A new equation enters the tests by a line here.
    private static readonly Dictionary<string, Func<long, ControlledEquation>> Equations = new()
    {
        ["linear"] = channels => new LinearCde(channels, 8),
        ["linear in windows"] = channels => new LinearCde(channels, 8, 2, depth: 2, window: 3),
        ["neural"] = channels => new NeuralCde(channels, 8, activation: Activation.Tanh),
        ["log-neural"] = channels => new LogNeuralCde(channels, 8, window: 3),
    };

    public static TheoryData<string> Kinds => [.. Equations.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_to_parameters_samples_and_times_are_those_of_finite_differences(string kind)
    {
        foreach (PathInterpolation interpolation in Enum.GetValues<PathInterpolation>())
        {
            using DisposeScope scope = NewDisposeScope();
            using ControlledEquation equation = Equations[kind](5);
            equation.to(ScalarType.Float64);
            Tensor values = randn(2, 7, 2, ScalarType.Float64) * 0.5, lengths = tensor(new long[] { 7, 5 });
            values[0, 2, 1] = double.NaN;
            Tensor times = (rand(2, 7, ScalarType.Float64) * 0.2 + 0.1).cumsum(1);
            Tensor weights = randn(2, 8, ScalarType.Float64);
            values.requires_grad_();
            times.requires_grad_();
            Func<Tensor, Tensor, Tensor> loss = (x, t) =>
                (equation.call(ControlPath.Create(new SeriesBatch(x, t, lengths), interpolation, counts: true)) * weights).sum();
            loss(values, times).backward();
            foreach ((Tensor input, bool isValues) in new[] { (values, true), (times, false) })
            {
                Tensor direction = randn_like(input.detach());
                double expected = (input.grad!.nan_to_num(0) * direction).sum().item<double>();
                Along(input.detach(), direction, at => isValues ? loss(at, times.detach()) : loss(values.detach(), at))
                    .Should().BeApproximately(expected, 1e-5, interpolation.ToString());
            }
            foreach (var parameter in equation.parameters())
            {
                Tensor direction = randn_like(parameter.detach()), before = parameter.detach().clone();
                double slope = Along(before, direction, at =>
                {
                    using (no_grad())
                        parameter.copy_(at);
                    return loss(values.detach(), times.detach());
                });
                slope.Should().BeApproximately((parameter.grad! * direction).sum().item<double>(), 1e-5, interpolation.ToString());
                using (no_grad())
                    parameter.copy_(before);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Neither_order_nor_size_nor_padding_of_the_batch_changes_a_row(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using ControlledEquation equation = Equations[kind](3);
        Tensor values = randn(3, 9, 2), times = (rand(3, 9, ScalarType.Float64) + 0.1).cumsum(1), lengths = tensor(new long[] { 9, 4, 1 });
        Tensor all = equation.call(ControlPath.Linear(new SeriesBatch(values, times, lengths)));
        Tensor order = tensor(new long[] { 2, 0, 1 });
        Tensor permuted = equation.call(ControlPath.Linear(new SeriesBatch(values[order], times[order], lengths[order])));
        (permuted - all[order]).abs().max().item<float>().Should().BeLessThan(1e-5f);
        for (int row = 0; row < 3; row++)
        {
            long length = lengths[row].item<long>();
            Tensor own = equation.call(
                ControlPath.Linear(
                    new SeriesBatch(values.narrow(0, row, 1).narrow(1, 0, length), times.narrow(0, row, 1).narrow(1, 0, length))));
            (own[0] - all[row]).abs().max().item<float>().Should().BeLessThan(1e-5f, $"row {row} stands alone");
        }
    }

    [Fact]
    public void Brackets_bring_the_windows_of_a_neural_equation_nearer_to_its_exact_solution_by_an_order()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(1);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-11, AbsoluteTolerance = 1e-12 };
        using var exact = new NeuralCde(3, 5, [7], Activation.Silu, options);
        exact.to(ScalarType.Float64);
        Tensor values = randn(3, 9, 2, ScalarType.Float64);
        double Error(int depth, double scale)
        {
            using var windows = new LogNeuralCde(3, 5, 8, depth, [7], Activation.Silu, options);
            windows.to(ScalarType.Float64);
            windows.load_state_dict(exact.state_dict());
            ControlPath path = ControlPath.Linear(new SeriesBatch(values * scale, linspace(0, scale, 9, ScalarType.Float64)));
            return (exact.call(path) - windows.call(path)).abs().max().item<double>();
        }
        Math.Log2(Error(1, 0.04) / Error(1, 0.02)).Should().BeApproximately(2, 0.3);
        Math.Log2(Error(2, 0.04) / Error(2, 0.02)).Should().BeApproximately(3, 0.4);
    }

    [Fact]
    public void Every_gradient_method_and_steps_of_its_own_for_each_row_give_the_gradients_of_a_direct_one()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor values = randn(2, 6, 1, ScalarType.Float64);
        var expected = new List<Tensor>();
        var options = new OdeSolverOptions { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-10 };
        foreach (OdeSolverOptions way in new[]
        {
            options with { Gradient = GradientMethod.Direct() }, options with { Gradient = GradientMethod.Checkpointed() },
            options with { Gradient = GradientMethod.Adjoint() },
            options with { PerRow = true },
        })
        {
            random.manual_seed(6);
            using var equation = new NeuralCde(2, 4, activation: Activation.Tanh, options: way);
            equation.to(ScalarType.Float64);
            Tensor x = values.clone().requires_grad_();
            equation.call(ControlPath.HermiteCubic(new SeriesBatch(x))).square().sum().backward();
            Tensor[] found = [x.grad!, .. equation.parameters().Select(parameter => parameter.grad!)];
            if (expected.Count == 0)
                expected.AddRange(found.Select(gradient => gradient.clone()));
            foreach ((Tensor one, Tensor other) in found.Zip(expected))
                (one - other).abs().max().item<double>().Should().BeLessThan(1e-5, way.ToString());
        }
    }

    [Fact]
    public void States_are_found_at_times_of_each_rows_own()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (PathInterpolation interpolation in Enum.GetValues<PathInterpolation>())
        {
            foreach (Func<long, ControlledEquation> make in new[] { Equations["linear"], Equations["neural"] })
            {
                using ControlledEquation equation = make(2);
                equation.to(ScalarType.Float64);
                Tensor values = randn(2, 5, 1, ScalarType.Float64), lengths = tensor(new long[] { 5, 3 });
                Tensor times = (rand(2, 5, ScalarType.Float64) + 0.5).cumsum(1);
                ControlPath path = ControlPath.Create(new SeriesBatch(values, times, lengths), interpolation);
                Tensor atAll = equation.StatesAtObservations(path).detach();
                Tensor asked = times.flip(1).clone().requires_grad_();
                Tensor found = equation.StatesAt(path, asked);
                const double tolerance = 1e-9;
                (found.flip(1)[0] - atAll[0]).abs().max().item<double>().Should().BeLessThan(tolerance);
                (found.flip(1)[1].narrow(0, 0, 3) - atAll[1].narrow(0, 0, 3)).abs().max().item<double>().Should().BeLessThan(tolerance);
                found.sum().backward();
                asked.grad!.isfinite().all().item<bool>().Should().BeTrue();
                Tensor ends = equation.StatesAt(path, tensor(new[,] { { -1.0, 99 }, { -1, 99 } })).detach();
                (ends.select(1, 1) - atAll.select(1, 4)).abs().max().item<double>().Should().BeLessThan(1e-9);
                (ends.select(1, 0) - atAll.select(1, 0)).abs().max().item<double>().Should().BeLessThan(1e-12);
            }
        }
    }

    [Fact]
    public void The_state_of_a_linear_equation_between_observations_is_that_of_the_path_cut_there()
    {
        using DisposeScope scope = NewDisposeScope();
        using var equation = new LinearCde(2, 8);
        equation.to(ScalarType.Float64);
        ControlPath path = ControlPath.Linear(new SeriesBatch(tensor(new[] { 1.0, 3, 2 }).reshape(1, 3, 1), tensor(new[] { 0.0, 2, 3 })));
        ControlPath cut = ControlPath.Linear(new SeriesBatch(tensor(new[] { 1.0, 1.5 }).reshape(1, 2, 1), tensor(new[] { 0.0, 0.5 })));
        (equation.StatesAt(path, tensor(new[,] { { 0.5 } }))[0, 0] - equation.call(cut)[0]).abs()
            .max().item<double>().Should().BeLessThan(1e-13);
    }

    private static double Along(Tensor at, Tensor direction, Func<Tensor, Tensor> loss)
    {
        const double H = 1e-5;
        return ((loss(at + direction * H) - loss(at - direction * H)) / (2 * H)).item<double>();
    }
}
