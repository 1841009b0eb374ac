namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>One fit of a network: of short segments first, of ever longer ones then, and of whole records at last.</summary>
internal sealed class NetworkFit
{
    /// <summary>Observations of a segment at first.</summary>
    private const int DefaultLength = 8;

    /// <summary>The weights of the joints, search by search.</summary>
    private static readonly double[] Joints = [0.3, 1, 3];

    private readonly nn.Module<Tensor, Tensor, Tensor> _module;
    private readonly IReadOnlyList<OdeTrajectory> _trajectories;
    private readonly OdeNetworkFitOptions _options;
    private readonly OdeSolverOptions _solver;
    private readonly FitScales _scales;
    private int _iterations;

    public NetworkFit(
        nn.Module<Tensor, Tensor, Tensor> module, IReadOnlyList<OdeTrajectory> trajectories, OdeNetworkFitOptions options)
    {
        (_module, _trajectories, _options) = (module, trajectories, options);
        _solver = options.Solver ?? DefaultSolver(trajectories);
        if (_solver.Gradient is null)
            _solver = _solver with { Gradient = GradientMethod.Direct() };
        _scales = FitScales.Of(trajectories, options.ToOptions(), First(trajectories[0]).Length);
    }

    public OdeNetworkFitResult Run()
    {
        double[][][] states = [.. _trajectories.Select(Guesses)];
        double[] weights = NetworkObjective.Read(Weights());
        OdeFitConvergence convergence = OdeFitConvergence.IterationLimit;
        NetworkObjective? last = null;
        int most = _options.Segments
            ?? Math.Max(1, _trajectories.Max(trajectory => (trajectory.Times.Count - 1) / DefaultLength));
        for (int count = most; last is null || count >= 1; count /= 2)
            foreach (double joint in count > 1 ? Joints : [1])
            {
                List<ShootingSegment> segments = Cut(count, states);
                last = new NetworkObjective(_module, segments, _scales, _options, _solver, joint);
                double[] start = [.. weights, .. segments.Where(segment => segment.Variable >= 0).SelectMany(segment => segment.Start)];
                var search = new Lbfgs(last, start, _options.Tolerance, _options.MaximumIterations);
                convergence = search.Run() ?? throw last.Failure ?? (Exception)new InvalidOperationException(
                    "The network or the observation returned NaN or an infinite number for the first guesses.");
                _iterations += search.Iterations;
                weights = search.Point[..last.WeightCount];
                foreach (ShootingSegment segment in segments)
                    states[IndexOf(segment)][segment.First] = [.. ShootingResiduals.State(segment, search.Point)];
                // What the objective tells is of the point that it saw last.
                last.TryEvaluate(search.Point, out _, new double[search.Point.Length]);
            }
        return new OdeNetworkFitResult(_module, _solver)
        {
            InitialStates = [.. states.Select(ofRecord => ofRecord[0])],
            Residual = Math.Sqrt(last.OfObservations),
            Convergence = convergence,
            Iterations = _iterations,
        };
    }

    private static OdeSolverOptions DefaultSolver(IReadOnlyList<OdeTrajectory> trajectories)
    {
        double[] gaps = [.. trajectories.SelectMany(t => t.Times.Zip(t.Times.Skip(1), (a, b) => b - a)).Order()];
        return new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = gaps[gaps.Length / 2] };
    }

    /// <summary>The state at the first time, or a guess of it.</summary>
    private static double[] First(OdeTrajectory trajectory) => trajectory.InitialState is { } given ? [.. given]
        : [.. Enumerable.Range(0, trajectory.Values.GetLength(1)).Select(column => trajectory.Values[0, column])];

    private IEnumerable<Tensor> Weights() => _module.parameters().Where(parameter => parameter.requires_grad);

    /// <summary>Guesses of the states at all times: what was observed, and what was not the same as at the start.</summary>
    private double[][] Guesses(OdeTrajectory trajectory)
    {
        double[] first = First(trajectory);
        var guess = new SegmentGuess(static (_, _, _, slope) => slope.Clear(), trajectory, [], first, _options.ToOptions());
        return [.. Enumerable.Range(0, trajectory.Times.Count).Select(i => i == 0 ? first : guess.At(i))];
    }

    private List<ShootingSegment> Cut(int most, double[][][] states)
    {
        var segments = new List<ShootingSegment>();
        int variable = (int)Weights().Sum(weight => weight.numel());
        for (int r = 0; r < _trajectories.Count; r++)
        {
            OdeTrajectory record = _trajectories[r];
            int last = record.Times.Count - 1, count = Math.Min(most, last);
            for (int s = 0; s < count; s++)
            {
                int from = (int)((long)s * last / count), to = (int)((long)(s + 1) * last / count);
                bool isKnown = s == 0 && record.IsInitialStateKnown;
                segments.Add(new ShootingSegment(record, from, to, s == count - 1, states[r][from], isKnown ? -1 : variable));
                variable += isKnown ? 0 : _scales.Components.Length;
            }
        }
        return segments;
    }

    private int IndexOf(ShootingSegment segment)
    {
        for (int r = 0; r < _trajectories.Count; r++)
            if (ReferenceEquals(_trajectories[r], segment.Trajectory))
                return r;
        return -1;
    }
}
