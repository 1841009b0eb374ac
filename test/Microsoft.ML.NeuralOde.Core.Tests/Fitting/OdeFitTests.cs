namespace Microsoft.ML.NeuralOde.Core.Tests.Fitting;

/// <summary>Parameters are found again from trajectories that were made with them.</summary>
public class OdeFitTests
{
    private static readonly double[] Truth = [1.0, 0.5, 1.2, 0.4];

    private static readonly OdeModel LotkaVolterra = (t, y, p, dy) =>
        (dy[0], dy[1]) = (y[0] * (p[0] - p[1] * y[1]), y[1] * (p[3] * y[0] - p[2]));

    private static readonly OdeParameter[] Four =
    [
        OdeParameter.Positive("growth", 0.7), OdeParameter.Positive("predation", 0.7), OdeParameter.Positive("death", 0.7),
        OdeParameter.Positive("conversion", 0.7),
    ];

    [Fact]
    public void Four_parameters_are_found_from_noisy_points_within_two_percent_and_within_their_errors()
    {
        OdeFitResult fit = OdeFit.Fit(LotkaVolterra, Four, [Record([2, 1], 200, 10, noise: 0.03)]);
        fit.Convergence.Should().Be(OdeFitConvergence.Converged);
        for (int i = 0; i < Truth.Length; i++)
        {
            fit.Parameters[i].Value.Should().BeApproximately(Truth[i], 0.02 * Truth[i]);
            fit.Parameters[i].Value.Should().BeApproximately(Truth[i], 4 * fit.Parameters[i].StandardError);
            fit.Parameters[i].StandardError.Should().BeInRange(1e-4, 0.02);
            fit.Parameters[i].Lower.Should().BeLessThan(fit.Parameters[i].Value).And.BePositive();
        }
        fit["death"].Should().BeSameAs(fit.Parameters[2]);
        fit.Solve([.. fit.InitialStates[0]], [0, 10]).Status.Should().Be(RowStatus.Completed);
    }

    [Fact]
    public void Several_records_with_gaps_and_an_unseen_component_give_the_exact_parameters_where_there_is_no_noise()
    {
        OdeTrajectory first = Record([2, 1], 40, 8, noise: 0) with { InitialState = [2, 1], IsInitialStateKnown = true };
        OdeTrajectory second = Record([1, 3], 25, 5, noise: 0) with { InitialState = [1, 2.5] };
        for (int i = 0; i < 25; i++)
            second.Values[i, 1] = double.NaN;
        first.Values[7, 0] = double.NaN;
        OdeFitResult fit = OdeFit.Fit(LotkaVolterra, Four, [first, second]);
        for (int i = 0; i < Truth.Length; i++)
            fit.Parameters[i].Value.Should().BeApproximately(Truth[i], 1e-5);
        fit.InitialStates[1][1].Should().BeApproximately(3, 1e-4);
        fit.InitialStates[0].Should().Equal(2, 1);
    }

    [Fact]
    public void What_an_observation_shows_is_enough()
    {
        OdeTrajectory record = Record([2, 1], 60, 10, noise: 0);
        var sums = new double[60, 1];
        for (int i = 0; i < 60; i++)
            sums[i, 0] = record.Values[i, 0] + 2 * record.Values[i, 1];
        OdeFitResult fit = OdeFit.Fit(
            LotkaVolterra, Four, [new OdeTrajectory(record.Times, sums) { InitialState = [2, 1], IsInitialStateKnown = true }],
            new OdeFitOptions { Observation = (t, y, p, seen) => seen[0] = y[0] + 2 * y[1] });
        for (int i = 0; i < Truth.Length; i++)
            fit.Parameters[i].Value.Should().BeApproximately(Truth[i], 1e-4);
    }

    [Fact]
    public void Segments_find_the_frequency_of_many_periods_where_whole_records_do_not()
    {
        // y'' = -w² y over 16 periods, and a first guess of w that is out of phase after one.
        OdeModel oscillator = (t, y, p, dy) => (dy[0], dy[1]) = (y[1], -p[0] * p[0] * y[0]);
        double[] times = [.. Enumerable.Range(0, 201).Select(i => 0.25 * i)];
        var values = new double[201, 2];
        for (int i = 0; i < 201; i++)
            (values[i, 0], values[i, 1]) = (Math.Cos(2 * times[i]), -2 * Math.Sin(2 * times[i]));
        OdeParameter[] frequency = [OdeParameter.Positive("w", 1.2)];
        var record = new OdeTrajectory(times, values);
        OdeFit.Fit(oscillator, frequency, [record])["w"].Value.Should().NotBeApproximately(2, 0.05);
        OdeFitResult fit = OdeFit.Fit(oscillator, frequency, [record], new OdeFitOptions { Segments = 25 });
        fit["w"].Value.Should().BeApproximately(2, 1e-5);
        fit.Gap.Should().Be(0);
    }

    [Fact]
    public void A_parameter_that_nothing_depends_on_has_an_infinite_error()
    {
        OdeFitResult fit = OdeFit.Fit(
            (t, y, p, dy) => dy[0] = -p[0] * y[0], [new OdeParameter("rate", 0.5), new OdeParameter("unused", 1)],
            [new OdeTrajectory([0, 1, 2], new[,] { { 1.0 }, { Math.Exp(-1) }, { Math.Exp(-2) } })]);
        fit["rate"].Value.Should().BeApproximately(1, 1e-6);
        fit["unused"].StandardError.Should().Be(double.PositiveInfinity);
    }

    [Fact]
    public void Bounds_are_kept()
    {
        OdeTrajectory record = new([0, 1, 2], new[,] { { 1.0 }, { Math.Exp(-1) }, { Math.Exp(-2) } });
        foreach (OdeParameter rate in (OdeParameter[])[new("rate", 0.5, 0, 0.8), new("rate", 0.5, double.NegativeInfinity, 0.8)])
            OdeFit.Fit((t, y, p, dy) => dy[0] = -p[0] * y[0], [rate], [record])["rate"].Value.Should().BeInRange(0.79, 0.8);
    }

    [Fact]
    public void Wrong_uses_are_refused_by_name()
    {
        OdeTrajectory record = Record([2, 1], 10, 2, 0);
        void Refuses(string message, OdeParameter[]? parameters = null, OdeTrajectory? trajectory = null, OdeFitOptions? options = null) =>
            ((Action)(() => OdeFit.Fit(LotkaVolterra, parameters ?? Four, [trajectory ?? record], options))).Should()
            .Throw<ArgumentException>().WithMessage(message);
        Refuses("No parameter is given*", []);
        Refuses("Parameter 'a' begins at -1*", [OdeParameter.Positive("a", -1)]);
        Refuses("Two parameters are named 'a'*", [new("a", 1), new("a", 1)]);
        Refuses("*time 2 is 1*", trajectory: new OdeTrajectory([0, 1, 1], new double[3, 2]));
        Refuses("*2 times and 3 rows*", trajectory: new OdeTrajectory([0, 1], new double[3, 2]));
        Refuses("*not fully observed*", trajectory: new OdeTrajectory([0, 1], new[,] { { double.NaN, 1 }, { 1, 1 } }));
        Refuses("*infinite value*", trajectory: new OdeTrajectory([0, 1], new[,] { { 1, 1 }, { double.PositiveInfinity, 1 } }));
        Refuses("*Segments is 0*", options: new OdeFitOptions { Segments = 0 });
        Refuses("*Scales must be 2*", options: new OdeFitOptions { Scales = [1] });
        ((Action)(() => OdeFit.Fit((t, y, p, dy) => throw new TimeZoneNotFoundException(), Four, [record]))).Should()
            .Throw<TimeZoneNotFoundException>();
        ((Action)(() => OdeFit.Fit((t, y, p, dy) => { }, Four, [record]))).Should().Throw<OdeSolverException>();
    }

    private static OdeTrajectory Record(double[] start, int count, double end, double noise)
    {
        var random = new Random(7);
        double[] times = [.. Enumerable.Range(0, count).Select(i => end * i / (count - 1))];
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) => LotkaVolterra(t, y, Truth, dy), start,
            times, new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-10 });
        var values = new double[count, 2];
        for (int i = 0; i < count; i++)
            for (int c = 0; c < 2; c++)
                values[i, c] = solution[i][c] * (1 + noise * Math.Sqrt(
                    -2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return new OdeTrajectory(times, values);
    }
}
