using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>
/// The size of an adaptive solve's first step (E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, II.4).
/// </summary>
internal static class InitialStep
{
    /// <summary>The error that the search allows, as a share of the tolerance.</summary>
    private const double AllowedError = 0.01;

    /// <summary>
    /// The error that it may predict for a step to the limit that is tried nevertheless: it looks at the derivative's size and mostly
    /// predicts far too much. Chosen over 1,248 solves of networks and textbook problems by methods of order 3 to 8, as the limit of the
    /// size is: beyond them refused steps cost more than is saved.
    /// </summary>
    private const double PredictedError = 1e4;

    /// <summary>How much larger than the size that was found such a step may be: as much as a step may grow after the first.</summary>
    private const double Growth = 10;

    /// <summary>
    /// One positive size a lane, no larger than <paramref name="limits"/>: an explicit Euler step compares the derivatives at its ends.
    /// Costs one evaluation besides the one that the first step uses.
    /// </summary>
    public static double[] Select(
        StepperContext context, double[] time, Tensor state, Tensor derivative, int direction, int order, double[] limits)
    {
        StateArithmetic arithmetic = context.Arithmetic;
        OdeSolverOptions options = context.Options;
        int lanes = time.Length;
        double[] d0, d1, d2;
        using (var parts = new StepTable(lanes, null, [[1, 0], [0, 1]]))
        {
            double[][] sizes = arithmetic.ScaledErrors(state, state, parts, [0, 1], [state, derivative], options);
            (d0, d1) = (sizes[0], sizes[1]);
        }
        var h0 = new double[lanes];
        var end = new double[lanes];
        for (int lane = 0; lane < lanes; lane++)
        {
            h0[lane] = Guess(d0[lane], d1[lane], limits[lane]);
            end[lane] = time[lane] + direction * h0[lane];
        }

        using (var span = new StepSpan(time, end, context.Clock))
        {
            double[] difference = [.. Enumerable.Repeat<double[]>([1, -1], lanes).SelectMany(row => row)];
            using var table = new StepTable(lanes, null, [span.Size, difference], perLane: true);
            Tensor moved = arithmetic.Combine(state, table, 0, [derivative]);
            Tensor there = context.Evaluate(span, 1, moved);
            d2 = arithmetic.ScaledErrors(state, state, table, [1], [there, derivative], options)[0];
            arithmetic.Release(moved);
            arithmetic.Release(there);
        }

        var steps = new double[lanes];
        for (int lane = 0; lane < lanes; lane++)
            steps[lane] = Choose(h0[lane], d1[lane], d2[lane], order, limits[lane], mayBeBold: !options.Method.SolvesEquations);
        return steps;
    }

    /// <summary>The size of the Euler step, from the norms of state and derivative.</summary>
    public static double Guess(double d0, double d1, double limit)
    {
        double guess = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
        return double.IsFinite(guess) && guess > 0 ? Math.Min(guess, limit) : 1e-6 * limit;
    }

    /// <summary>
    /// The first size, from the norm of the derivative and that of its change over the Euler step; the limit where that is near, unless a
    /// refused step costs so much that it is not worth it.
    /// </summary>
    public static double Choose(double h0, double d1, double d2, int order, double limit, bool mayBeBold = true)
    {
        double slope = Math.Max(d1, d2 / h0);
        double h1 = slope <= 1e-15 ? Math.Max(1e-6, h0 * 1e-3) : Math.Pow(AllowedError / slope, 1.0 / (order + 1));
        double step = Math.Min(100 * h0, h1);
        // Where the derivative at the Euler step's end is infinite or NaN, it says nothing but that the step was long enough.
        if (!double.IsFinite(step) || step <= 0)
            return Math.Min(h0, limit);
        // One step instead of two, as most layers of neural networks take; should its error be too large, it tells the size of the next.
        double bold = !mayBeBold ? 1 : Math.Min(Growth, Math.Pow(PredictedError / AllowedError, 1.0 / (order + 1)));
        return step * bold >= limit ? limit : step;
    }
}
