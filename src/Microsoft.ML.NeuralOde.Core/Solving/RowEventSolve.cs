namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>
/// A solve in which each row of the batch has its own steps and its own events: row by row, since resets and ends part their ways.
/// </summary>
internal static class RowEventSolve
{
    /// <inheritdoc cref="EventSolve(OdeProblem, bool, DisposeScope, bool)"/>
    public static OdeSolution Run(OdeProblem problem, bool withGradient, DisposeScope scope)
    {
        int rows = (int)problem.InitialState.shape[0];
        var states = new Tensor[rows];
        var status = new RowStatus[rows];
        var occurrences = new List<OdeEventOccurrence>();
        bool mayHaveMissed = false;
        for (int row = 0; row < rows; row++)
        {
            OdeSolution alone = Solve(problem, row, withGradient, scope);
            mayHaveMissed |= alone.EventsMayBeMissed;
            states[row] = alone.States;
            scope.Attach(alone.States);
            status[row] = alone.Status[0];
            foreach (OdeEventOccurrence occurrence in alone.Events)
                occurrences.Add(occurrence with { Row = row });
        }
        return new OdeSolution(cat(states, 1).DetachFromDisposeScope(), problem.Statistics, status, occurrences)
        {
            EventsMayBeMissed = mayHaveMissed,
        };
    }

    private static OdeSolution Solve(OdeProblem problem, int row, bool withGradient, DisposeScope scope)
    {
        try
        {
            return new EventSolve(Alone(problem, row), withGradient, scope, returnsPartial: true).Run();
        }
        catch (OdeSolverException failure)
        {
            throw failure.OfRow(row);
        }
    }

    private static OdeProblem Alone(OdeProblem problem, int row) => problem with
    {
        Equation = problem.Equation.OfRows([row]),
        InitialState = problem.InitialState.narrow(0, row, 1),
        Options = problem.Options with { PerRow = false },
    };
}
