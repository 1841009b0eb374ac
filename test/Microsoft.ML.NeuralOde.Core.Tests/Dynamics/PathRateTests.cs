using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.PathIntegrals;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>The rates of path integrals: those that are written out against those by autograd, values and derivatives.</summary>
public class PathRateTests
{
    private const PathQuantities All = PathQuantities.Divergence | PathQuantities.KineticEnergy | PathQuantities.JacobianNorm;

    public static TheoryData<Activation, TimeDependence, int, bool, bool> Cases()
    {
        var data = new TheoryData<Activation, TimeDependence, int, bool, bool>();
        foreach (Activation activation in Enum.GetValues<Activation>())
            data.Add(activation, TimeDependence.ConcatSquash, 3, false, false);
        foreach (TimeDependence time in Enum.GetValues<TimeDependence>())
            foreach (int hidden in (int[])[0, 1, 2, 3])
                foreach (bool exact in (bool[])[true, false])
                    data.Add(Activation.Tanh, time, hidden, exact, hidden % 2 == 1);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Dense_rates_and_their_derivatives_are_those_of_autograd(
        Activation activation, TimeDependence time, int hidden, bool exact, bool conditional)
    {
        foreach (PathQuantities quantities in (PathQuantities[])[All, PathQuantities.Divergence,
            PathQuantities.Divergence | PathQuantities.KineticEnergy, PathQuantities.KineticEnergy])
        {
            // For one probe ‖J ε‖ and ‖εᵀ J‖ are different estimates of the norm.
            if (!exact && quantities.HasFlag(PathQuantities.JacobianNorm))
                continue;
            using DisposeScope scope = NewDisposeScope();
            random.manual_seed(3);
            var dynamics =
                new DenseDynamics(3, [.. Enumerable.Range(0, hidden).Select(i => 5L + i)], activation, time, conditional ? 2 : 0);
            dynamics.to(ScalarType.Float64);
            Tensor y = randn(4, 3, ScalarType.Float64);
            Tensor? condition = conditional ? randn(4, 2, ScalarType.Float64) : null;
            var request = new PathRequest(quantities,
                exact ? TraceEstimator.Exact : TraceEstimator.Hutchinson(2, ProbeDistribution.Gaussian), condition, PerRow: false);

            (Tensor value, Tensor[] derivatives) = Differentiate(dynamics, dynamics, y, request);
            (Tensor expected, Tensor[] expectedDerivatives) = Differentiate(dynamics, new Opaque(dynamics), y, request);

            Problems.MaximumDifference(value, expected).Should().BeLessThan(1e-12, $"{quantities}");
            for (int i = 0; i < derivatives.Length; i++)
                Problems.MaximumDifference(derivatives[i], expectedDerivatives[i])
                .Should().BeLessThan(1e-11, $"{quantities}, derivative {i}");
        }
    }

    [Fact]
    public void Second_derivatives_of_dense_rates_are_those_of_autograd()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(4);
        var dynamics = new DenseDynamics(3, [5, 6, 7], time: TimeDependence.ConcatSquash);
        dynamics.to(ScalarType.Float64);
        // New weights are small, and then so is all that is curved.
        using (no_grad())
            foreach (TorchSharp.Modules.Parameter parameter in dynamics.parameters())
                parameter.mul_(3);
        Tensor y = randn(4, 3, ScalarType.Float64);
        var request = new PathRequest(All, TraceEstimator.Exact, null, PerRow: false);
        Tensor[] found = [.. new Module<Tensor, Tensor, Tensor>[] { dynamics, new Opaque(dynamics) }.Select(each =>
        {
            PathRate rate = PathRate.Create(each, y, request);
            Tensor packed = rate.Pack(y).requires_grad_();
            Tensor gradient = autograd.grad(
                [rate.Evaluate(tensor(0.3, ScalarType.Float64), packed).pow(2).sum()], [packed], retain_graph: true, create_graph: true)[0];
            return autograd.grad([gradient.pow(2).sum()], [packed])[0];
        })];
        Problems.MaximumDifference(found[0], found[1]).Should().BeLessThan(1e-9 * found[1].abs().max().ToDouble());
        found[1].abs().max().ToDouble().Should().BeGreaterThan(1e-3);
    }

    [Theory]
    [InlineData(ProbeDistribution.Rademacher)]
    [InlineData(ProbeDistribution.Gaussian)]
    public void The_mean_over_probes_is_the_exact_trace_and_norm_within_its_standard_error(ProbeDistribution distribution)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(5);
        var dynamics = new DenseDynamics(6, [16, 16, 16], time: TimeDependence.ConcatSquash);
        dynamics.to(ScalarType.Float64);
        const int Draws = 4000;
        Tensor y = randn(1, 6, ScalarType.Float64);
        Tensor t = tensor(0.4, ScalarType.Float64);
        PathRate exact = PathRate.Create(dynamics, y, new PathRequest(All, TraceEstimator.Exact, null, false));
        Tensor rate = exact.Evaluate(t, exact.Pack(y))[0];

        Tensor rows = y.expand(Draws, 6).contiguous();
        PathRate estimate = PathRate.Create(dynamics, rows, new PathRequest(All, TraceEstimator.Hutchinson(1, distribution), null, false));
        Tensor rates = estimate.Evaluate(t, estimate.Pack(rows));
        foreach (int column in (int[])[6, 8])
        {
            Tensor samples = rates.select(1, column);
            double error = samples.std().ToDouble() / Math.Sqrt(Draws);
            error.Should().BePositive();
            samples.mean().ToDouble().Should().BeApproximately(rate[column].ToDouble(), 4 * error);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rows_that_stay_keep_their_probes_and_conditions_when_others_leave(bool dense)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        var dynamics = new DenseDynamics(3, [5, 5, 5], time: TimeDependence.ConcatSquash, conditions: 2);
        Tensor y = randn(6, 3), condition = randn(6, 2), times = rand(6, 1);
        PathRate rate = PathRate.Create(
            dense ? dynamics : new Opaque(dynamics), y, new PathRequest(All, TraceEstimator.Hutchinson(), condition, PerRow: true));
        Tensor packed = rate.Pack(y);
        Tensor all = rate.Evaluate(times, packed);
        Tensor kept = tensor(new long[] { 1, 4 });
        Tensor some = rate.Evaluate(times.index_select(0, kept), packed.index_select(0, kept));
        Problems.MaximumDifference(some, all.index_select(0, kept)).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void A_condition_that_is_missing_or_does_not_fit_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(3, conditions: 2);
        Tensor y = randn(6, 3);
        Action missing = () => PathRate.Create(dynamics, y, new PathRequest(All, TraceEstimator.Exact, null, false));
        missing.Should().Throw<ArgumentException>().WithMessage("*condition is missing*[6, 2]*");
        Action wrong = () => PathRate.Create(dynamics, y, new PathRequest(All, TraceEstimator.Exact, randn(6, 3), false));
        wrong.Should().Throw<ArgumentException>().WithMessage("*[6, 3]*[6, 2]*");
        Action call = () => dynamics.call(tensor(0f), y);
        call.Should().Throw<InvalidOperationException>().WithMessage("*condition of 2*");
    }

    private static (Tensor Value, Tensor[] Derivatives) Differentiate(
        DenseDynamics parameters, Module<Tensor, Tensor, Tensor> dynamics, Tensor y, PathRequest request)
    {
        random.manual_seed(11);
        Tensor? condition = request.Condition?.detach().requires_grad_();
        PathRate rate = PathRate.Create(dynamics, y, request with { Condition = condition });
        Tensor packed = rate.Pack(y).requires_grad_();
        Tensor t = tensor(0.3, ScalarType.Float64).requires_grad_();
        Tensor value = rate.Evaluate(t, packed);
        random.manual_seed(12);
        Tensor[] inputs = [packed, t, .. condition is null ? (Tensor[])[] : [condition], .. parameters.parameters()];
        IList<Tensor> gradients = autograd.grad([value], inputs, [randn_like(value)], allow_unused: true);
        return (value, [.. gradients.Select((g, i) => g is null || g.IsInvalid ? zeros_like(inputs[i]) : g)]);
    }

    /// <summary>The same dynamics, without the name by which the library knows that it can write the derivatives out.</summary>
    private sealed class Opaque : Module<Tensor, Tensor, Tensor>, IConditionalDynamics
    {
        private readonly DenseDynamics _inner;

        public Opaque(DenseDynamics inner)
            : base(nameof(Opaque)) => _inner = inner;

        public long Conditions => _inner.Conditions;

        public override Tensor forward(Tensor t, Tensor y) => _inner.call(t, y);

        public Tensor Evaluate(Tensor t, Tensor y, Tensor condition) => _inner.Evaluate(t, y, condition);
    }
}
