namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>
/// The residuals of a fit: of the observations, and of the joints between segments, by the parameters and the segments' first states.
/// </summary>
internal sealed class ShootingResiduals : IResiduals
{
    private readonly OdeModel _model;
    private readonly IReadOnlyList<OdeParameter> _parameters;
    private readonly OdeFitOptions _options;
    private readonly IReadOnlyList<ShootingSegment> _segments;
    private readonly FitScales _scales;
    private readonly double _joint;
    private readonly double[] _seen, _before, _after, _slope;

    /// <param name="model">f(t, y; p).</param>
    /// <param name="parameters">What is to be found.</param>
    /// <param name="options">How to fit.</param>
    /// <param name="segments">The stretches that are solved.</param>
    /// <param name="scales">The units of residuals.</param>
    /// <param name="joint">The weight of what is open between segments.</param>
    public ShootingResiduals(
        OdeModel model, IReadOnlyList<OdeParameter> parameters, OdeFitOptions options, IReadOnlyList<ShootingSegment> segments,
        FitScales scales, double joint)
    {
        (_model, _parameters, _options, _segments, _scales, _joint) = (model, parameters, options, segments, scales, joint);
        int columns = scales.Columns.Length;
        (_seen, _before, _after, _slope) = (new double[columns], new double[columns], new double[columns], new double[columns]);
        Observations = segments.Sum(Seen);
        Count = Observations + scales.Components.Length * segments.Count(segment => !segment.IsLastOfRecord);
    }

    public int Count { get; }

    /// <summary>How many residuals, the first, are of observations.</summary>
    public int Observations { get; }

    /// <summary>Why the last point could not be evaluated.</summary>
    public OdeSolverException? Failure { get; private set; }

    public bool TryEvaluate(double[] point, double[] residuals, double[,] jacobian)
    {
        Array.Clear(jacobian);
        (double Value, double Slope)[] bound = [.. _parameters.Select((parameter, i) => ParameterMap.Bound(parameter, point[i]))];
        if (!Array.TrueForAll(bound, b => double.IsFinite(b.Value) && double.IsFinite(b.Slope)))
            return false;
        double[] values = Array.ConvertAll(bound, b => b.Value), slopes = Array.ConvertAll(bound, b => b.Slope);
        int row = 0, joint = Observations;
        for (int i = 0; i < _segments.Count; i++)
        {
            ShootingSegment segment = _segments[i];
            _options.CancellationToken.ThrowIfCancellationRequested();
            var system = new SensitivitySystem(_model, _scales.Components.Length, values, slopes, segment.Variable >= 0);
            NativeOdeSolution solution;
            try
            {
                solution = Ode.Solve(system.Evaluate, system.Start(State(segment, point)), segment.Times, _options.Solver);
            }
            catch (OdeSolverException failure)
            {
                Failure = failure;
                return false;
            }
            for (int time = segment.FirstExplained; time < segment.Times.Length; time++)
                Explain(segment, system, values, time, solution[time], residuals, jacobian, ref row);
            if (!segment.IsLastOfRecord)
                Join(segment, _segments[i + 1], system, solution.Final, point, residuals, jacobian, ref joint);
        }
        return Array.TrueForAll(residuals, double.IsFinite);
    }

    /// <summary>The first state of a segment at a point.</summary>
    public static ReadOnlySpan<double> State(ShootingSegment segment, double[] point) =>
        segment.Variable < 0 ? segment.Start : point.AsSpan(segment.Variable, segment.Start.Length);

    private static int Seen(ShootingSegment segment)
    {
        int count = 0;
        for (int time = segment.First + segment.FirstExplained; time <= segment.Last; time++)
            for (int column = 0; column < segment.Trajectory.Values.GetLength(1); column++)
                count += double.IsNaN(segment.Trajectory.Values[time, column]) ? 0 : 1;
        return count;
    }

    private void Explain(
        ShootingSegment segment, SensitivitySystem system, double[] values, int time, ReadOnlySpan<double> state, double[] residuals,
        double[,] jacobian, ref int row)
    {
        int first = row;
        double[,] observed = segment.Trajectory.Values;
        int place = segment.First + time, n = _scales.Components.Length;
        ReadOnlySpan<double> seen = state[..n];
        if (_options.Observation is { } observation)
        {
            Array.Fill(_seen, double.NaN);
            observation(segment.Times[time], seen, values, _seen);
            seen = _seen;
        }
        for (int column = 0; column < _scales.Columns.Length; column++)
            if (!double.IsNaN(observed[place, column]))
                residuals[row++] = (seen[column] - observed[place, column]) / _scales.Columns[column];
        for (int k = 0; k < system.Directions; k++)
        {
            ReadOnlySpan<double> slope = state.Slice(n * (1 + k), n);
            if (_options.Observation is not null)
            {
                system.Observe(_options.Observation, k, segment.Times[time], state, _before, _after, _slope);
                slope = _slope;
            }
            int target = first;
            for (int column = 0; column < _scales.Columns.Length; column++)
                if (!double.IsNaN(observed[place, column]))
                    jacobian[target++, Variable(segment, k)] = slope[column] / _scales.Columns[column];
        }
    }

    /// <summary>What is open between a segment's end and the next one's start.</summary>
    private void Join(
        ShootingSegment segment, ShootingSegment next, SensitivitySystem system, ReadOnlySpan<double> end, double[] point, double[] residuals,
        double[,] jacobian, ref int row)
    {
        int n = _scales.Components.Length;
        ReadOnlySpan<double> start = State(next, point);
        for (int i = 0; i < n; i++, row++)
        {
            double weight = _joint / _scales.Components[i];
            residuals[row] = weight * (end[i] - start[i]);
            jacobian[row, next.Variable + i] = -weight;
            for (int k = 0; k < system.Directions; k++)
                jacobian[row, Variable(segment, k)] = weight * end[n * (1 + k) + i];
        }
    }

    private int Variable(ShootingSegment segment, int direction) =>
        direction < _parameters.Count ? direction : segment.Variable + direction - _parameters.Count;
}
