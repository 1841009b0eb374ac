using Microsoft.ML.NeuralOde.Fitting;

namespace Microsoft.ML.NeuralOde.Core.Tests.Fitting;

/// <summary>The search by L-BFGS, and networks that are trained by it.</summary>
public class NetworkFitTests
{
    [Fact]
    public void Lbfgs_finds_the_bottom_of_a_bent_valley()
    {
        var search = new Lbfgs(new Rosenbrock(), [-1.2, 1, -1.2, 1], 1e-14, 300);
        search.Run().Should().NotBeNull();
        search.Point.Should().AllSatisfy(x => x.Should().BeApproximately(1, 1e-4));
        search.Iterations.Should().BeLessThan(200);
    }

    [Fact]
    public void Both_methods_find_the_same_parameters()
    {
        OdeModel decay = (t, y, p, dy) => (dy[0], dy[1]) = (-p[0] * y[0], p[0] * y[0] - p[1] * y[1]);
        double[] times = [.. Enumerable.Range(0, 40).Select(i => 0.2 * i)];
        NativeOdeSolution solution = Ode.Solve((t, y, dy) => decay(t, y, [0.7, 0.3], dy), [2, 0.5], times);
        var random = new Random(4);
        var values = new double[40, 2];
        for (int i = 0; i < 40; i++)
            for (int c = 0; c < 2; c++)
                values[i, c] = solution[i][c] + 0.01 * (random.NextDouble() - 0.5);
        OdeParameter[] rates = [OdeParameter.Positive("first", 2), OdeParameter.Positive("second", 1)];
        OdeFitResult squares = OdeFit.Fit(decay, rates, [new OdeTrajectory(times, values)]);
        OdeFitResult gradient =
            OdeFit.Fit(decay, rates, [new OdeTrajectory(times, values)], new OdeFitOptions { Method = OdeFitMethod.Lbfgs });
        foreach (string name in new[] { "first", "second" })
        {
            gradient[name].Value.Should().BeApproximately(squares[name].Value, 1e-3 * squares[name].Value);
            gradient[name].StandardError.Should().BeApproximately(squares[name].StandardError, 0.05 * squares[name].StandardError);
        }
        gradient["first"].Value.Should().BeApproximately(0.7, 0.02);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_network_goes_on_as_a_linear_equation_does(bool isPartlySeen)
    {
        // A linear network, of which the true equation y'' = -y - 0.2 y' is one: two periods ahead.
        double[] times = [.. Enumerable.Range(0, 41).Select(i => 0.25 * i)];
        var values = new double[41, 2];
        for (int i = 0; i < 41; i++)
        {
            (values[i, 0], values[i, 1]) = Damped(times[i]);
            if (isPartlySeen)
                values[i, 1] = double.NaN;
        }
        using var network = Linear(3);
        OdeNetworkFitResult fit = OdeFit.Fit(
            network, [new OdeTrajectory(times, values) { InitialState = [1, 0] }],
            new OdeNetworkFitOptions { WeightPenalty = 0, MaximumIterations = 40, Tolerance = 1e-5 });
        fit.Residual.Should().BeLessThan(0.02);
        double[] later = [0, .. Enumerable.Range(1, 50).Select(i => 10 + 0.25 * i)];
        double[,] ahead = fit.Solve(fit.InitialStates[0], later);
        for (int i = 1; i < later.Length; i++)
            ahead[i, 0].Should().BeApproximately(Damped(later[i]).Position, 0.05 * Math.Exp(-0.1 * 10));
    }

    [Fact]
    public void What_is_observed_may_be_a_function_of_the_state()
    {
        double[] times = [.. Enumerable.Range(0, 31).Select(i => 0.25 * i)];
        var values = new double[31, 1];
        for (int i = 0; i < 31; i++)
            values[i, 0] = 3 * Damped(times[i]).Position;
        using var network = Linear(5);
        OdeNetworkFitResult fit = OdeFit.Fit(
            network, [new OdeTrajectory(times, values) { InitialState = [1, 0], IsInitialStateKnown = true }],
            new OdeNetworkFitOptions
            {
                Observation = states => states.narrow(2, 0, 1) * 3,
                WeightPenalty = 0,
                MaximumIterations = 40,
                Tolerance = 1e-5,
            });
        fit.Residual.Should().BeLessThan(0.02);
        fit.InitialStates[0].Should().Equal(1, 0);
    }

    [Fact]
    public void What_makes_no_sense_is_named()
    {
        using var network = Linear(1);
        var record = new OdeTrajectory([0, 1, 2], new double[3, 2]);
        Refused(() => OdeFit.Fit(network, []), "*No trajectory*");
        Refused(() => OdeFit.Fit(network, [record with { Times = [0, 2, 1] }]), "*strictly increase*");
        Refused(() => OdeFit.Fit(network, [record], new OdeNetworkFitOptions { Segments = 0 }), "*Segments is 0*");
        Refused(() => OdeFit.Fit(network, [record], new OdeNetworkFitOptions { WeightPenalty = -1 }), "*WeightPenalty is -1*");
        Refused(() => OdeFit.Fit(network, [record], new OdeNetworkFitOptions { Scales = [1] }), "*OdeNetworkFitOptions.Scales*2 positive*");
        Refused(() => OdeFit.Fit(network, [record], new OdeNetworkFitOptions { Tolerance = 2 }), "*Tolerance is 2*");
        Refused(
            () => OdeFit.Fit((t, y, p, dy) => dy[0] = p[0], [OdeParameter.Positive("a", 1)], [new OdeTrajectory([0, 1], new double[2, 1])],
                new OdeFitOptions { Method = (OdeFitMethod)7 }), "*Method is 7*");
        foreach (TorchSharp.Modules.Parameter weight in network.parameters())
            weight.requires_grad_(false);
        Refused(() => OdeFit.Fit(network, [record]), "*no weight*");
        FluentActions.Invoking(() => OdeFit.Fit(
            Linear(2), [record], new OdeNetworkFitOptions { CancellationToken = new CancellationToken(true) }))
            .Should().Throw<OperationCanceledException>();
    }

    private static (double Position, double Speed) Damped(double t)
    {
        double rate = Math.Sqrt(1 - 0.01), envelope = Math.Exp(-0.1 * t);
        double position = envelope * (Math.Cos(rate * t) + 0.1 / rate * Math.Sin(rate * t));
        return (position, -envelope / rate * Math.Sin(rate * t));
    }

    private static DenseDynamics Linear(int seed)
    {
        random.manual_seed(seed);
        var network = new DenseDynamics(2, 2, [], Activation.Tanh, TimeDependence.None);
        network.to(ScalarType.Float64);
        return network;
    }

    private static void Refused(Action action, string message) =>
        action.Should().Throw<ArgumentException>().WithMessage(message);

    private sealed class Rosenbrock : IObjective
    {
        public bool TryEvaluate(double[] point, out double value, double[] gradient)
        {
            value = 0;
            Array.Clear(gradient);
            for (int i = 0; i < point.Length; i += 2)
            {
                double valley = point[i + 1] - point[i] * point[i], left = 1 - point[i];
                value += 100 * valley * valley + left * left;
                gradient[i] += -400 * point[i] * valley - 2 * left;
                gradient[i + 1] += 200 * valley;
            }
            return true;
        }
    }
}
