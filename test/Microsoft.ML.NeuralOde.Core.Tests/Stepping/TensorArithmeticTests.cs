using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Stepping;

/// <summary>What a step computes by tensor operations, as on other devices, against the kernels and against plain loops.</summary>
public class TensorArithmeticTests
{
    /// <summary>The second row is zero but for one number, the third is a plain sum without step sizes.</summary>
    private static readonly double[][] Rows = [[0.5, -2, 0.25], [0, 0.75, 0], [1, 0, 1], [0, 0, 0]];

    public static TheoryData<ScalarType, int> Cases => new()
    {
        { ScalarType.Float32, 1 }, { ScalarType.Float32, 3 }, { ScalarType.Float64, 1 }, { ScalarType.Float64, 3 },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Sums_are_those_of_the_kernels(ScalarType type, int lanes)
    {
        using DisposeScope scope = NewDisposeScope();
        using var tensors = new TensorArithmetic(lanes);
        using var fused = new FusedArithmetic(lanes);
        Tensor y = randn([3, 5], type);
        Tensor[] k = [randn([3, 5], type), randn([3, 5], type), randn([3, 5], type)];
        double tolerance = type == ScalarType.Float32 ? 1e-5 : 1e-13;
        using StepSpan span = Span(lanes, y);
        // One weight a lane and stage: each lane's own multiple.
        double[][] own = Array.ConvertAll(Rows, row => Enumerable.Range(1, lanes).SelectMany(lane => row.Select(w => w * lane)).ToArray());
        foreach (StepSpan? step in new[] { null, span })
            foreach (bool perLane in new[] { false, true })
            {
                using var table = new StepTable(lanes, step, perLane ? own : Rows, perLane);
                for (int row = 0; row < Rows.Length; row++)
                    foreach (Tensor? state in new[] { null, y })
                    {
                        Tensor found = tensors.Combine(state, table, row, k), expected = fused.Combine(state, table, row, k);
                        found.shape.Should().Equal(y.shape);
                        Problems.MaximumDifference(found, expected).Should().BeLessThan(tolerance, $"row {row}");
                        tensors.Release(found);
                        fused.Release(expected);
                    }
            }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Errors_by_tensors_are_those_of_the_kernels(int lanes)
    {
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(lanes);
        Tensor y0 = randn([3, 4], ScalarType.Float64), y1 = randn([3, 4], ScalarType.Float64);
        Tensor[] k = [randn([3, 4], ScalarType.Float64), randn([3, 4], ScalarType.Float64), randn([3, 4], ScalarType.Float64)];
        using StepSpan span = Span(lanes, y0);
        using var table = new StepTable(lanes, span, Rows);
        foreach (ErrorNorm norm in new[] { ErrorNorm.Rms, ErrorNorm.Maximum })
            foreach (Tensor end in new[] { y1, y0 })
            {
                var numbers = new OdeSolverOptions { RelativeTolerance = 0.01, AbsoluteTolerance = 0.1, Norm = norm };
                double[][] expected = arithmetic.ScaledErrors(y0, end, table, [0, 1, 3], k, numbers);
                // Tolerances that are tensors are not the kernels'.
                OdeSolverOptions byTensors = numbers with
                {
                    RelativeTolerances = full(1, 0.01, ScalarType.Float64),
                    AbsoluteTolerances = full(1, 0.1, ScalarType.Float64),
                };
                double[][] found = arithmetic.ScaledErrors(y0, end, table, [0, 1, 3], k, byTensors);
                found.Should().HaveCount(3).And.OnlyContain(errors => errors.Length == lanes);
                for (int row = 0; row < 3; row++)
                    for (int lane = 0; lane < lanes; lane++)
                        found[row][lane].Should().BeApproximately(expected[row][lane], 1e-12);
            }
    }

    /// <summary>Without kernels: e = 3h k over atol + rtol max(|y₀|, |y₁|), and 0 where everything is and stays 0.</summary>
    [Theory]
    [InlineData(ScalarType.BFloat16, 0.25)]
    [InlineData(ScalarType.Float16, 0.25)]
    [InlineData(ScalarType.BFloat16, 0)]
    [InlineData(ScalarType.Float16, 0)]
    public void Errors_of_short_types_are_right(ScalarType type, double atol)
    {
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(1);
        Tensor y0 = tensor(new[] { 1.0, -4, 0 }).to(type), y1 = tensor(new[] { -2.0, 3, 0 }).to(type);
        Tensor k = tensor(new[] { 1.0, 2, 0 }).to(type);
        using StepSpan span = Span(1, y0);
        double h = span.Size[0];
        double[] ratios = [3 * h / (atol + 0.5 * 2), 6 * h / (atol + 0.5 * 4), 0];
        foreach (ErrorNorm norm in new[] { ErrorNorm.Rms, ErrorNorm.Maximum })
        {
            var options = new OdeSolverOptions { RelativeTolerance = 0.5, AbsoluteTolerance = atol, Norm = norm };
            double expected = ReferenceEquals(norm, ErrorNorm.Maximum) ? ratios.Max() : Math.Sqrt(ratios.Sum(r => r * r) / 3);
            arithmetic.ScaledError(y0, y1, span, [3], [k], options)[0].Should().BeApproximately(expected, 0.02 * expected);
        }
    }

    /// <summary>y + h (2 k₀ − k₁): derivatives of first and second order, and with respect to the step's ends.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(3, false)]
    [InlineData(1, true)]
    public void Sums_are_differentiable_twice(int lanes, bool tracksTimes)
    {
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(lanes);
        Tensor y = randn([3, 2], ScalarType.Float64).requires_grad_(), k = randn([3, 2], ScalarType.Float64).requires_grad_();
        Tensor times = tensor(new[] { 0.0, 2.0 }).requires_grad_();
        TimeGrid grid = TimeGrid.Of(0, 2);
        var clock = new Clock(tracksTimes ? grid.Track(times, ScalarType.Float64, CPU) : grid, y, perRow: lanes > 1);
        using var span = new StepSpan(new double[lanes], [.. Enumerable.Repeat(0.5, lanes)], clock);
        Tensor sum = arithmetic.Combine(y, span, [2, -1], [k * k, k]);
        // Σ sum² has the gradient 2 sum h (4 k − 1) in k, whose sum has that of (2 h² (4 k − 1)² + 8 h sum).
        Tensor first = autograd.grad([(sum * sum).sum()], [k], retain_graph: true, create_graph: true)[0];
        Problems.MaximumDifference(first, 2 * sum * 0.5 * (4 * k - 1)).Should().BeLessThan(1e-12);
        Tensor second = autograd.grad([first.sum()], [k], retain_graph: true)[0];
        Problems.MaximumDifference(second, 2 * 0.25 * (4 * k - 1).square() + 8 * 0.5 * sum).Should().BeLessThan(1e-12);
        Problems.MaximumDifference(autograd.grad([sum.sum()], [y], retain_graph: true)[0], ones_like(y)).Should().BeLessThan(1e-12);
        if (!tracksTimes)
            return;
        // The step ends at a quarter of the way between both times.
        Tensor rate = (2 * k * k - k).sum();
        Problems.MaximumDifference(autograd.grad([sum.sum()], [times])[0], stack([-rate / 4, rate / 4])).Should().BeLessThan(1e-12);
    }

    private static StepSpan Span(int lanes, Tensor like) => new(
        new double[lanes], [.. Enumerable.Range(1, lanes).Select(lane => 0.25 * lane)],
        new Clock(TimeGrid.Of(0, 2), like, perRow: lanes > 1));
}
