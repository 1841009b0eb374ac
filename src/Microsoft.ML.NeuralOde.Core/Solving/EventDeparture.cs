namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>
/// How an event's function leaves its zero where a solve goes on behind the event: the zero it begins at is not a new one.
/// </summary>
/// <param name="start">The time at which the step begins.</param>
/// <param name="size">Its size, with the sign of the direction.</param>
/// <param name="spacing">The distance of times there.</param>
/// <param name="function">The event's function at fractions of the step.</param>
internal readonly struct EventDeparture(double start, double size, double spacing, Func<double, double> function)
{
    /// <summary>
    /// Times that differ by no more than so many numbers of their type are one: rounding of the state moves events as far.
    /// </summary>
    public const int AtOnce = 32;

    /// <summary>
    /// How fast g leaves its zero at the step's start, per step; null where it does not begin at one. The sign is that of the derivative,
    /// which a bounce leaves no doubt about when its flight is too short for samples.
    /// </summary>
    /// <param name="sign">The sign of g before the event.</param>
    /// <param name="residual">The value of g at the event, as near to 0 as it could be brought.</param>
    /// <param name="noise">By how much rounding moves g.</param>
    /// <param name="interrupts">Whether the event interrupts the solve, which then would not come away from it.</param>
    /// <param name="tangent">g at fractions of the step along the tangent, where the smallest differences survive.</param>
    /// <exception cref="OdeSolverException">The event follows itself before anything lies in between.</exception>
    public double? Speed(int sign, double residual, double noise, bool interrupts, Func<double, double> tangent)
    {
        double first = function(0);
        bool isZero = Math.Abs(first) <= 4 * Math.Max(Math.Abs(residual), noise);
        // As far as it takes to see a difference.
        for (double sigma = Math.Min(1, Math.Max(1e-6, 16 * spacing / Math.Abs(size))); sigma <= 1; sigma *= 8)
        {
            double change = tangent(sigma) - first;
            if (change != 0)
                return isZero || Math.Abs(first) <= AtOnce * spacing * Math.Abs(change / (sigma * size)) ? change / sigma : null;
        }
        if (!isZero)
            return null;
        // It stands still; where it is carried on all the same, the event happens again and again.
        foreach (double sigma in (ReadOnlySpan<double>)[1e-3, 0.1, 1])
        {
            int there = Math.Sign(function(sigma) - first);
            if (there == -sign && interrupts)
                throw Accumulation(start, size,
                    "The reset leaves the state at rest where the event happens, and the right-hand side carries it on through.");
            if (there != 0)
                return there == -sign ? null : there * double.Epsilon;
        }
        return null;
    }

    /// <summary>(g(σ) − g(0)) / σ, which has the other zeros of g, however near they are.</summary>
    /// <param name="speed">Its value at 0.</param>
    public Func<double, double> Deflated(double speed)
    {
        Func<double, double> g = function;
        double first = g(0);
        return sigma => sigma == 0 ? speed : (g(sigma) - first) / sigma;
    }

    /// <summary>Fails where, until its next zero, g stays within the rounding of the state.</summary>
    /// <param name="place">The next zero.</param>
    /// <param name="noise">By how much rounding moves g at the start.</param>
    public void CheckHop(double place, double noise)
    {
        if (Math.Abs(function(place / 2) - function(0)) <= 4 * noise)
            throw Accumulation(start, place * size, "Between two events the event function stays within the rounding of the state.");
    }

    /// <summary>The failure of events that follow each other too fast.</summary>
    public static OdeSolverException Accumulation(double time, double step, string detail) =>
        new(SolverFailure.EventAccumulation, time, step, double.NaN, [], detail);
}
