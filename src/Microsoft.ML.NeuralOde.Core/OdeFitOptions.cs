namespace Microsoft.ML.NeuralOde;

/// <summary>The method by which <see cref="OdeFit"/> searches for parameters.</summary>
public enum OdeFitMethod
{
    /// <summary>Levenberg and Marquardt's, which knows that it minimises squares: the fewest iterations.</summary>
    LevenbergMarquardt,

    /// <summary>
    /// L-BFGS, which looks at the gradient of the sum of squares alone (D. C. Liu, J. Nocedal, 1989): for parameters so many, such as the
    /// first states of many segments, that systems of that size are too large.
    /// </summary>
    Lbfgs,
}

/// <summary>How <see cref="OdeFit"/> searches. Immutable; vary one with a <c>with</c> expression.</summary>
public sealed record OdeFitOptions
{
    /// <summary>
    /// How the equation is solved: without tensors, so that options about tensors are refused. Default: tsit5 at 1e-8 relative and absolute
    /// tolerance. Take OdeMethod.Radau5 or OdeMethod.Auto where the equation is stiff.
    /// </summary>
    public OdeSolverOptions Solver { get; init; } = new() { Method = OdeMethod.Tsit5, RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-8 };

    /// <summary>
    /// Into how many segments each record is cut at first. Default: 1, single shooting. For records of many periods, or chaotic ones, on
    /// which the search from afar ends in a wrong minimum: as many as leave a fraction of a period in each. The last search is one over
    /// whole records; where that is worse (chaos forgets its start), the result is that of the segments, and
    /// <see cref="OdeFitResult.Gap"/> tells how far their ends are apart.
    /// </summary>
    public int Segments { get; init; } = 1;

    /// <summary>The method of the search. Default: <see cref="OdeFitMethod.LevenbergMarquardt"/>.</summary>
    public OdeFitMethod Method { get; init; }

    /// <summary>What is seen of a state. Default: null, the state itself.</summary>
    public OdeObservation? Observation { get; init; }

    /// <summary>
    /// The unit in which residuals of each column are counted, such as the deviation of its noise. Default: null, the standard deviation of
    /// the column's observations, so that all columns count alike.
    /// </summary>
    public IReadOnlyList<double>? Scales { get; init; }

    /// <summary>Most iterations of each search. Default: 200.</summary>
    public int MaximumIterations { get; init; } = 200;

    /// <summary>A search ends where an iteration improves the sum of squares by less than this fraction. Default: 1e-9.</summary>
    public double Tolerance { get; init; } = 1e-9;

    /// <summary>Looked at before each solve.</summary>
    public CancellationToken CancellationToken { get; init; }
}
