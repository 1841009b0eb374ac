using Microsoft.ML.NeuralOde.PathIntegrals;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>The fused rate of state and trace against the same through torch, differentiated by autograd.</summary>
public class DensePathEvaluatorTests
{
    public static TheoryData<Activation, TimeDependence> Kinds
    {
        get
        {
            var data = new TheoryData<Activation, TimeDependence>();
            foreach (Activation activation in new[] { Activation.Tanh, Activation.Softplus, Activation.Relu })
                foreach (TimeDependence time in Enum.GetValues<TimeDependence>().Except([TimeDependence.Fourier]))
                    data.Add(activation, time);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Rates_and_their_derivatives_equal_those_of_torch(Activation activation, TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((int rows, int features, long[] hidden, int probes, ScalarType type) in new (int, int, long[], int, ScalarType)[]
        {
            (1, 2, [], 1, ScalarType.Float64), (5, 2, [64, 64], 1, ScalarType.Float32), (37, 19, [33], 3, ScalarType.Float64),
            (66, 43, [20, 7, 16], 1, ScalarType.Float64),
            (600, 3, [64, 64], 2, ScalarType.Float32),
        })
        {
            double tolerance = type == ScalarType.Float32 ? 1e-5 : activation == Activation.Softplus ? 1e-8 : 1e-12;
            var dynamics = new DenseDynamics(features, hidden, activation, time);
            dynamics.to(type);
            Tensor start = randn([rows, features], type);
            var request = new PathRequest(
                PathQuantities.Divergence, TraceEstimator.Hutchinson(probes, ProbeDistribution.Gaussian), null, PerRow: false);
            using var rate = new DensePathRate(dynamics, start, request);
            Tensor packed = cat([start, randn([rows, 1], type)], 1).requires_grad_();
            Tensor t = tensor(0.4, type).requires_grad_();
            Tensor cotangent = randn([rows, features + 1], type);
            Tensor expected = rate.Evaluate(t, packed);
            IList<Tensor> derivatives = autograd.grad([expected], [packed, t, .. rate.Parameters], [cotangent], allow_unused: true);

            using DynamicsEvaluator evaluator = rate.CreateEvaluator(packed.detach())!;
            Tensor value = empty_like(expected.detach()), state = empty_like(value);
            using DynamicsLinearization linearization = evaluator.Linearize([0.4], packed.detach(), value);
            var times = new double[1];
            linearization.Pull(cotangent, state, times);
            Tensor[] gradients = [.. rate.Parameters.Select(parameter => ones_like(parameter.detach()))];
            linearization.AddParameterGradients(0.5, gradients);

            string place = $"{rows} rows, {features} features, hidden [{string.Join(", ", hidden)}]";
            Compare(value, expected, tolerance, $"value, {place}");
            Compare(state, derivatives[0], tolerance, $"state, {place}");
            if (time != TimeDependence.None)
                times[0].Should().BeApproximately(derivatives[1].ToDouble(), tolerance * 100 * rows, $"of time, {place}");
            for (int i = 0; i < gradients.Length; i++)
                Compare(gradients[i], 1 + 0.5 * (Valid(derivatives[2 + i]) ?? zeros_like(gradients[i])), tolerance,
                    $"parameter {i}, {place}");
        }

        static Tensor? Valid(Tensor? derivative) => derivative is null || derivative.IsInvalid ? null : derivative;
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void Gradients_of_a_flow_equal_those_through_the_graph(string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(3, new ContinuousFlowOptions { Hidden = [12, 9], Trace = TraceEstimator.Exact });
        flow.to(ScalarType.Float64);
        Tensor x = randn([20, 3], ScalarType.Float64);
        flow.Observe(x);
        // The adjoint is as exact as its solve: tight enough, whatever the weights are.
        OdeSolverOptions solver = flow.Options.Solver with { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };
        Tensor[] fused = Gradients(GradientMethod.Parse(gradient));
        Tensor[] graph = Gradients(GradientMethod.Direct());
        for (int i = 0; i < fused.Length; i++)
            Compare(fused[i], graph[i], gradient == "adjoint" ? 1e-6 : 1e-10, $"gradient {i}");

        Tensor[] Gradients(GradientMethod method)
        {
            // It must not be disposed of: the block is the other one's.
            var same = new ContinuousFlow(3, [flow.Blocks[0]],
                flow.Options with { Standardize = false, Solver = solver with { Gradient = method } });
            flow.zero_grad();
            Tensor input = x.detach().requires_grad_();
            same.LogDensity(input).sum().backward();
            return [input.grad!.clone(), .. flow.Blocks[0].parameters().Select(parameter => parameter.grad!.clone())];
        }
    }

    private static void Compare(Tensor actual, Tensor expected, double tolerance, string what) =>
        ((actual - expected.detach()).abs().max() / (1 + expected.detach().abs().max())).ToDouble().Should().BeLessThan(tolerance, what);
}
