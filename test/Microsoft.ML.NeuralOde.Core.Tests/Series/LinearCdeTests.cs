using Microsoft.ML.NeuralOde.Core.Tests.Paths;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde.Core.Tests.Series;

public class LinearCdeTests
{
    public static TheoryData<int, int, bool, double> Shapes => new()
    {
        { 4, 16, true, 0.3 }, { 4, 16, false, 3 }, { 3, 5, true, 1 }, { 1, 7, true, 0.5 }, { 8, 8, true, 2 }, { 2, 33, true, 5 },
    };

    [Fact]
    public void A_constant_matrix_gives_the_matrix_exponential()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.Linear(new SeriesBatch(zeros(1, 5, 1, ScalarType.Float64), linspace(0, 2, 5, ScalarType.Float64)));
        using var timed = new LinearCde(channels: 2, width: 3, blockSize: 3, affine: false);
        timed.to(ScalarType.Float64);
        Tensor a = timed.get_parameter("matrices")![0].squeeze(2);
        Tensor initial = timed.get_parameter("initial_bias")!;
        Tensor expected = (a * 2).matrix_exp().matmul(initial);
        (timed.call(path)[0] - expected).abs().max().item<double>().Should().BeLessThan(1e-13);
    }

    [Fact]
    public void An_affine_equation_of_one_block_is_the_solution_of_its_ordinary_equation()
    {
        using DisposeScope scope = NewDisposeScope();
        using var equation = new LinearCde(channels: 3, width: 6, blockSize: 2);
        equation.to(ScalarType.Float64);
        SeriesBatch series = new(randn(2, 4, 2, ScalarType.Float64), tensor(new[] { 0.0, 1, 1.5, 3 }));
        ControlPath path = ControlPath.Linear(series);
        Tensor matrices = equation.get_parameter("matrices")!.detach(), inputs = equation.get_parameter("inputs")!.detach();
        Tensor start = nn.functional.linear(
            path.Values.select(1, 0), equation.get_parameter("initial_weight")!, equation.get_parameter("initial_bias")!).detach();
        OdeSolution solution = Ode.Solve(
            (t, z) =>
            {
                Tensor slope = path.Derivative(t);
                Tensor blocks = z.reshape(2, 2, 3);
                Tensor flow = einsum("bc,cijn,bjn->bin", slope, matrices, blocks) + einsum("bc,cin->bin", slope, inputs);
                return flow.reshape(2, 6);
            },
            start, tensor(new[] { 0.0, 3 }),
            new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-11, Discontinuities = path.KnotTimes() });
        (equation.call(path).detach() - solution.Final.detach()).abs().max().item<double>().Should().BeLessThan(1e-8);
    }

    [Fact]
    public void Depth_two_over_a_window_comes_nearer_to_the_exact_flow_than_depth_one_by_an_order()
    {
        using DisposeScope scope = NewDisposeScope();
        var errors = new Dictionary<(int Depth, double Scale), double>();
        random.manual_seed(4);
        Tensor values = randn(3, 9, 2, ScalarType.Float64);
        using var exact = new LinearCde(3, 8, 4);
        exact.to(ScalarType.Float64);
        foreach (double scale in new[] { 0.02, 0.01 })
            foreach (int depth in new[] { 1, 2 })
            {
                using var windows = new LinearCde(3, 8, 4, depth, window: 8);
                windows.to(ScalarType.Float64);
                windows.load_state_dict(exact.state_dict());
                ControlPath path = ControlPath.Linear(new SeriesBatch(values * scale, linspace(0, scale, 9, ScalarType.Float64)));
                errors[(depth, scale)] = (exact.call(path) - windows.call(path)).abs().max().item<double>();
            }
        Math.Log2(errors[(1, 0.02)] / errors[(1, 0.01)]).Should().BeApproximately(2, 0.3);
        Math.Log2(errors[(2, 0.02)] / errors[(2, 0.01)]).Should().BeApproximately(3, 0.4);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_kernels_and_the_operations_of_torch_give_the_same_states_and_gradients(int block, int blocks, bool affine, double scale)
    {
        foreach ((ScalarType type, double tolerance) in new[] { (ScalarType.Float64, 1e-12), (ScalarType.Float32, 5e-5) })
        {
            using DisposeScope scope = NewDisposeScope();
            long width = block * blocks;
            Tensor initial = randn(5, width, type).requires_grad_();
            Tensor features = (randn(7, 5, 3, type) * 0.5).requires_grad_();
            Tensor weights = (randn(3, (block + (affine ? 1 : 0)) * width, type) * scale / Math.Sqrt(block)).requires_grad_();
            Tensor cotangent = randn(8, 5, width, type);
            Tensor[] fused = Results(BlockFlow.Run(initial, features, weights, block, affine));
            Tensor[] plain = Results(BlockFlow.Plain(initial, features, weights, block, affine));
            foreach ((Tensor one, Tensor other) in fused.Zip(plain))
                ((one - other).abs().max() / other.abs().max()).to(ScalarType.Float64).item<double>().Should().BeLessThan(tolerance);

            Tensor[] Results(Tensor states)
            {
                Tensor[] inputs = [initial, features, weights];
                foreach (Tensor input in inputs)
                    input.grad?.zero_();
                (states * cotangent).sum().backward();
                return [states.detach(), .. inputs.Select(input => input.grad!.clone())];
            }
        }
    }

    [Fact]
    public void A_change_of_the_data_leaves_the_states_before_it_the_same_to_the_last_bit()
    {
        using DisposeScope scope = NewDisposeScope();
        using var equation = new LinearCde(3, 64);
        Tensor values = randn(4, 60, 2), changed = values.clone();
        changed.narrow(1, 40, 20).mul_(5);
        Tensor one = equation.StatesAtObservations(ControlPath.Rectilinear(new SeriesBatch(values)));
        Tensor other = equation.StatesAtObservations(ControlPath.Rectilinear(new SeriesBatch(changed)));
        one.narrow(1, 0, 40).detach().Should().BeBits(other.narrow(1, 0, 40).detach());
        one[0, 41, 0].item<float>().Should().NotBe(other[0, 41, 0].item<float>());
    }

    [Fact]
    public void Long_series_are_solved_in_chunks_and_keep_nothing_but_their_states()
    {
        using DisposeScope scope = NewDisposeScope();
        using var equation = new LinearCde(2, 8);
        using ControlPath path =
            ControlPath.Linear(new SeriesBatch(randn(1, 10_000, 1).cumsum(1) * 0.01, linspace(0, 1, 10_000, ScalarType.Float64)));
        Tensor final = equation.call(path);
        final.isfinite().all().item<bool>().Should().BeTrue();
        final.sum().backward();
        equation.parameters().Should().AllSatisfy(parameter => parameter.grad!.isfinite().all().item<bool>().Should().BeTrue());
    }

    [Fact]
    public void Wrong_uses_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        ((Action)(() => _ = new LinearCde(2, 10, blockSize: 4))).Should()
            .Throw<ArgumentException>().WithMessage("*10*multiple of the block size, 4*");
        ((Action)(() => _ = new LinearCde(2, 8, depth: 3))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => _ = new LinearCde(2, 8, window: 0))).Should().Throw<ArgumentOutOfRangeException>();
        using var equation = new LinearCde(2, 8, window: 2);
        ControlPath path = ControlPath.Linear(new SeriesBatch(randn(2, 4, 1)));
        ((Action)(() => equation.StatesAtObservations(path))).Should()
            .Throw<InvalidOperationException>().WithMessage("*2 pieces*window of 1*");
        equation.StatesAtWindows(path).shape.Should().Equal(2, 3, 8);
        ((Action)(() => equation.call(ControlPath.Linear(new SeriesBatch(randn(2, 4, 3)))))).Should()
            .Throw<ArgumentException>().WithMessage("*4 channels*2*");
        ((Action)(() => equation.call(ControlPath.Linear(new SeriesBatch(randn(2, 4, 1, ScalarType.Float64)))))).Should()
            .Throw<ArgumentException>().WithMessage("*Float64*Float32*");
        ((Action)(() => equation.call(ControlPath.Linear(new SeriesBatch(randn(2, 4, 1) * 1e6))))).Should()
            .Throw<OdeSolverException>().WithMessage("The solution became NaN or infinite. *norm*Scale*");
        ((Action)(() => equation.call(null!))).Should().Throw<ArgumentNullException>();
    }
}
