namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>One fit: of segments first, if that is asked for, with ever heavier joints, and of whole records at last.</summary>
internal sealed class ShootingFit
{
    /// <summary>The weights of the joints, search by search.</summary>
    private static readonly double[] Joints = [1, 10, 100, 1000];

    /// <summary>Half the width of a 95 % interval in standard errors.</summary>
    private const double Normal95 = 1.959963984540054;

    private readonly OdeModel _model;
    private readonly IReadOnlyList<OdeParameter> _parameters;
    private readonly IReadOnlyList<OdeTrajectory> _trajectories;
    private readonly OdeFitOptions _options;
    private readonly FitScales _scales;
    private int _iterations;

    public ShootingFit(
        OdeModel model, IReadOnlyList<OdeParameter> parameters, IReadOnlyList<OdeTrajectory> trajectories, OdeFitOptions options)
    {
        (_model, _parameters, _trajectories, _options) = (model, parameters, trajectories, options);
        _scales = FitScales.Of(trajectories, options, First(trajectories[0]).Length);
    }

    public OdeFitResult Run()
    {
        double[] free = [.. _parameters.Select(parameter => ParameterMap.Free(parameter, parameter.Guess))];
        double[][] starts = [.. _trajectories.Select(First)];
        if (_options.Segments == 1)
            return Result(Search(Whole(starts), free, 1));
        Found cut = Search(Cut(free, starts), free, Joints[0]);
        foreach (double joint in Joints.Skip(1))
            cut = Search([.. cut.Segments.Select(segment => segment with { Start = [.. ShootingResiduals.State(segment, cut.Point)] })],
                cut.Point[.._parameters.Count], joint);
        double[][] found =
            [.. cut.Segments.Where(segment => segment.First == 0).Select(segment => ShootingResiduals.State(segment, cut.Point).ToArray())];
        Found? whole = TrySearch(Whole(found), cut.Point[.._parameters.Count], 1, out _);
        // Chaos may make whole records worse than their segments, however well the parameters are known.
        return Result(whole is not null && whole.SumOfObservations <= 1.05 * cut.SumOfObservations + 1e-12 ? whole : cut);
    }

    /// <summary>The state at the first time, or a guess of it.</summary>
    private static double[] First(OdeTrajectory trajectory) => trajectory.InitialState is { } given ? [.. given]
        : [.. Enumerable.Range(0, trajectory.Values.GetLength(1)).Select(column => trajectory.Values[0, column])];

    private ShootingSegment[] Whole(double[][] starts)
    {
        int variable = _parameters.Count;
        return [.. _trajectories.Select((trajectory, i) =>
            new ShootingSegment(trajectory, 0, trajectory.Times.Count - 1, true, starts[i], Take(trajectory.IsInitialStateKnown, ref variable)))];
    }

    private List<ShootingSegment> Cut(double[] free, double[][] starts)
    {
        var segments = new List<ShootingSegment>();
        int variable = _parameters.Count;
        double[] values = [.. _parameters.Select(parameter => parameter.Guess)];
        for (int r = 0; r < _trajectories.Count; r++)
        {
            OdeTrajectory record = _trajectories[r];
            int last = record.Times.Count - 1, count = Math.Min(_options.Segments, last);
            var guess = new SegmentGuess(_model, record, values, starts[r], _options);
            for (int s = 0; s < count; s++)
            {
                int from = s * last / count, to = (s + 1) * last / count;
                segments.Add(new ShootingSegment(
                    record, from, to, s == count - 1, s == 0 ? starts[r] : guess.At(from),
                    Take(s == 0 && record.IsInitialStateKnown, ref variable)));
            }
        }
        return segments;
    }

    private int Take(bool isKnown, ref int variable)
    {
        if (isKnown)
            return -1;
        variable += _scales.Components.Length;
        return variable - _scales.Components.Length;
    }

    private Found Search(IReadOnlyList<ShootingSegment> segments, double[] free, double joint) =>
        TrySearch(segments, free, joint, out OdeSolverException? failure) ?? throw failure
            ?? (Exception)new InvalidOperationException(
                "The model or the observation returned NaN or an infinite number for the first guesses.");

    /// <summary>Searches; null where not even the start can be solved.</summary>
    private Found? TrySearch(IReadOnlyList<ShootingSegment> segments, double[] free, double joint, out OdeSolverException? failure)
    {
        double[] start = [.. free, .. segments.Where(segment => segment.Variable >= 0).SelectMany(segment => segment.Start)];
        var residuals = new ShootingResiduals(_model, _parameters, _options, segments, _scales, joint);
        (LevenbergMarquardt search, OdeFitConvergence? convergence) = Minimise(residuals, start);
        failure = residuals.Failure;
        return convergence is { } ended ? new Found(segments, search, residuals, ended, joint) : null;
    }

    /// <summary>Searches by the method that is asked for; what stands at the end is looked at as squares by either.</summary>
    private (LevenbergMarquardt Search, OdeFitConvergence? Convergence) Minimise(ShootingResiduals residuals, double[] start)
    {
        if (_options.Method == OdeFitMethod.LevenbergMarquardt)
        {
            var search = new LevenbergMarquardt(residuals, start, _options.Tolerance, _options.MaximumIterations);
            OdeFitConvergence? ended = search.Run();
            _iterations += search.Iterations;
            return (search, ended);
        }
        var lbfgs = new Lbfgs(new HalfSquares(residuals, start.Length), start, _options.Tolerance, _options.MaximumIterations);
        OdeFitConvergence? convergence = lbfgs.Run();
        _iterations += lbfgs.Iterations;
        var last = new LevenbergMarquardt(residuals, lbfgs.Point, _options.Tolerance, 0);
        return (last, last.Run() is null ? null : convergence);
    }

    private OdeFitResult Result(Found found)
    {
        int observations = found.Residuals.Observations;
        double[,]? covariance = found.Search.Covariance();
        double variance = found.Search.SumOfSquares / Math.Max(1, found.Residuals.Count - found.Point.Length);
        return new OdeFitResult(_model, _options.Solver)
        {
            Parameters = [.. _parameters.Select((parameter, i) => Parameter(
                parameter, found.Point[i], covariance is null ? double.PositiveInfinity : Math.Sqrt(variance * covariance[i, i])))],
            InitialStates = [.. found.Segments.Where(segment => segment.First == 0)
                .Select(segment => ShootingResiduals.State(segment, found.Point).ToArray())],
            Residual = Math.Sqrt(found.SumOfObservations / Math.Max(1, observations)),
            Gap = found.Gap,
            Convergence = found.Convergence,
            Iterations = _iterations,
        };
    }

    private static OdeFittedParameter Parameter(OdeParameter parameter, double free, double error)
    {
        (double value, double slope) = ParameterMap.Bound(parameter, free);
        if (!double.IsFinite(error))
            return new OdeFittedParameter(parameter.Name, value, double.PositiveInfinity, parameter.Lower, parameter.Upper);
        double one = ParameterMap.Bound(parameter, free - Normal95 * error).Value,
            other = ParameterMap.Bound(parameter, free + Normal95 * error).Value;
        return new OdeFittedParameter(parameter.Name, value, Math.Abs(slope) * error, Math.Min(one, other), Math.Max(one, other));
    }

    /// <summary>What a search found.</summary>
    private sealed record Found(
        IReadOnlyList<ShootingSegment> Segments, LevenbergMarquardt Search, ShootingResiduals Residuals,
        OdeFitConvergence Convergence, double Joint)
    {
        public double[] Point => Search.Point;

        public double SumOfObservations => Sum(Search.Residuals[..Residuals.Observations]);

        public double Gap => Largest(Search.Residuals[Residuals.Observations..]) / Joint;

        private static double Sum(ReadOnlySpan<double> residuals)
        {
            double sum = 0;
            foreach (double residual in residuals)
                sum += residual * residual;
            return sum;
        }

        private static double Largest(ReadOnlySpan<double> residuals)
        {
            double largest = 0;
            foreach (double residual in residuals)
                largest = Math.Max(largest, Math.Abs(residual));
            return largest;
        }
    }
}
