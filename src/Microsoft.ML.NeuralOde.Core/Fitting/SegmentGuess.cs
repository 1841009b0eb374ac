namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>
/// Where segments begin at first: at the observations, interpolated where some are missing; and where a component is never seen, at the
/// solution with the first guesses, as far as there is one.
/// </summary>
internal sealed class SegmentGuess
{
    private readonly OdeTrajectory _record;
    private readonly bool _seesState;
    private readonly double[] _start;
    private readonly NativeOdeSolution? _solution;

    public SegmentGuess(OdeModel model, OdeTrajectory record, double[] values, double[] start, OdeFitOptions options)
    {
        (_record, _start) = (record, start);
        _seesState = options.Observation is null;
        if (_seesState && Enumerable.Range(0, start.Length).All(column => Seen(column).Any()))
            return;
        try
        {
            _solution = Ode.Solve((t, y, dy) => model(t, y, values, dy), start, [.. record.Times], options.Solver);
        }
        catch (OdeSolverException)
        {
            // The start is the guess everywhere.
            _solution = null;
        }
    }

    /// <summary>A guess of the state at a time of the record.</summary>
    public double[] At(int index) => [.. Enumerable.Range(0, _start.Length).Select(component =>
        (_seesState ? Interpolate(component, index) : null) ?? (_solution is null ? _start[component] : _solution[index][component]))];

    private IEnumerable<int> Seen(int column) =>
        Enumerable.Range(0, _record.Times.Count).Where(i => !double.IsNaN(_record.Values[i, column]));

    private double? Interpolate(int column, int index)
    {
        int[] seen = [.. Seen(column)];
        if (seen.Length == 0)
            return null;
        int before = seen.LastOrDefault(i => i <= index, seen[0]), after = seen.FirstOrDefault(i => i >= index, seen[^1]);
        if (before == after)
            return _record.Values[before, column];
        double part = (_record.Times[index] - _record.Times[before]) / (_record.Times[after] - _record.Times[before]);
        return _record.Values[before, column] + part * (_record.Values[after, column] - _record.Values[before, column]);
    }
}
