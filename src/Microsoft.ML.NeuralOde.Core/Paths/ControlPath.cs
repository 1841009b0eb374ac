using Microsoft.ML.NeuralOde.Paths;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Continuous paths X(t) through the observations of series, one a row of the batch: what drives a controlled differential equation
/// (P. Kidger, J. Morrill, J. Foster, T. Lyons, Neural controlled differential equations for irregular time series, 2020), or u(t) in an
/// ordinary one.
/// </summary>
/// <remarks>
/// The channels are time (where asked for), the values, and the counts of each channel's observations up to t (where asked for). A channel
/// without any observation is 0. Gradients flow to the values and times of the series.
/// </remarks>
public sealed class ControlPath : IDisposable
{
    private readonly PathPieces _pieces;

    private ControlPath(PathPieces pieces, PathInterpolation interpolation, long[] lengths)
    {
        _pieces = pieces;
        Interpolation = interpolation;
        Lengths = lengths;
    }

    /// <summary>Leads a path through each series.</summary>
    /// <param name="series">The observations. Not needed any more afterwards.</param>
    /// <param name="interpolation">How the path leads from one observation to the next.</param>
    /// <param name="time">Whether time is the first channel, as it is in the series, in its unit.</param>
    /// <param name="counts">
    /// Whether the number of observations up to now of each channel are further channels, the last ones: for data in which it says
    /// something that a value is missing.
    /// </param>
    /// <returns>The path, in the current dispose scope.</returns>
    public static ControlPath Create(SeriesBatch series, PathInterpolation interpolation, bool time = true, bool counts = false)
    {
        ArgumentNullException.ThrowIfNull(series);
        Inputs.RequireAlive(series.Values, nameof(series), "The batch of series");
        if (!Enum.IsDefined(interpolation))
            throw new ArgumentOutOfRangeException(nameof(interpolation), interpolation, "There is no such interpolation.");
        using DisposeScope scope = NewDisposeScope();
        PathPieces pieces = PathBuilder.Build(series, interpolation, time, counts);
        foreach (Tensor tensor in pieces.Tensors)
            tensor.MoveToOuterDisposeScope();
        return new ControlPath(pieces, interpolation, [.. series.Lengths]);
    }

    /// <summary>Straight lines between the observations; see <see cref="PathInterpolation.Linear"/>.</summary>
    /// <inheritdoc cref="Create"/>
    public static ControlPath Linear(SeriesBatch series, bool time = true, bool counts = false) =>
        Create(series, PathInterpolation.Linear, time, counts);

    /// <summary>Time first, then the values: causal; see <see cref="PathInterpolation.Rectilinear"/>.</summary>
    /// <inheritdoc cref="Create"/>
    public static ControlPath Rectilinear(SeriesBatch series, bool time = true, bool counts = false) =>
        Create(series, PathInterpolation.Rectilinear, time, counts);

    /// <summary>Cubic curves with backward differences: causal at the observations; see
    /// <see cref="PathInterpolation.HermiteCubic"/>.</summary>
    /// <inheritdoc cref="Create"/>
    public static ControlPath HermiteCubic(SeriesBatch series, bool time = true, bool counts = false) =>
        Create(series, PathInterpolation.HermiteCubic, time, counts);

    /// <summary>The natural cubic spline; see <see cref="PathInterpolation.NaturalCubic"/>.</summary>
    /// <inheritdoc cref="Create"/>
    public static ControlPath NaturalCubic(SeriesBatch series, bool time = true, bool counts = false) =>
        Create(series, PathInterpolation.NaturalCubic, time, counts);

    /// <summary>How the path leads from one observation to the next.</summary>
    public PathInterpolation Interpolation { get; }

    /// <summary>The number of rows.</summary>
    public long Rows => _pieces.Values.size(0);

    /// <summary>The number of channels, with time and counts.</summary>
    public long Channels => _pieces.Values.size(2);

    /// <summary>The number of observations of each row.</summary>
    public IReadOnlyList<long> Lengths { get; }

    /// <summary>
    /// The times of the knots between which the path is a line or a cubic, float64 of shape <c>[batch, knots]</c>: those of the
    /// observations, twice of a rectilinear path. They do not decrease; behind a row's end they stay.
    /// </summary>
    public Tensor Knots => _pieces.Knots;

    /// <summary>X at the knots, shape <c>[batch, knots, channels]</c>.</summary>
    public Tensor Values => _pieces.Values;

    /// <summary>X(end) − X(start) of the pieces between knots, shape <c>[batch, knots − 1, channels]</c>; 0 behind a row's end.</summary>
    /// <returns>A new tensor.</returns>
    public Tensor Increments()
    {
        using DisposeScope scope = NewDisposeScope();
        return _pieces.Increments().alias().MoveToOuterDisposeScope();
    }

    /// <summary>Whether the path has kinks or jumps at its knots, which a solver should be told of as discontinuities.</summary>
    public bool HasKinks => Interpolation is PathInterpolation.Linear or PathInterpolation.Rectilinear;

    /// <summary>X(t).</summary>
    /// <param name="times">
    /// A scalar, one time a row, shape <c>[batch]</c>, or several, <c>[batch, n]</c>. Before a row's first observation and behind its last
    /// the path stays. At a jump of a rectilinear path it is the value behind.
    /// </param>
    /// <returns>Shape <c>[batch, channels]</c>, or <c>[batch, n, channels]</c>.</returns>
    /// <exception cref="ArgumentException">The times have another shape.</exception>
    public Tensor Evaluate(Tensor times) => At(times, false);

    /// <summary>dX/dt; at a kink that behind it, at a jump without what jumps; 0 before a row's first observation and behind its
    /// last.</summary>
    /// <param name="times">As for <see cref="Evaluate"/>.</param>
    /// <returns>Shape <c>[batch, channels]</c>, or <c>[batch, n, channels]</c>.</returns>
    /// <exception cref="ArgumentException">The times have another shape.</exception>
    public Tensor Derivative(Tensor times) => At(times, true);

    /// <summary>The times of the knots of all rows together, in their order, each once.</summary>
    /// <returns>For <see cref="OdeSolverOptions.Discontinuities"/>.</returns>
    public IReadOnlyList<double> KnotTimes() => Distinct(Knots);

    /// <summary>Gives the path's memory back.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in _pieces.Tensors)
            tensor.Dispose();
    }

    /// <summary>The times of the first and last observations of all rows: beyond them the path stays.</summary>
    internal IReadOnlyList<double> EndTimes()
    {
        using Tensor first = Knots.select(1, 0);
        using Tensor last = Knots.select(1, -1);
        return [.. Distinct(first), .. Distinct(last)];
    }

    internal PathPieces Pieces => _pieces;

    /// <summary>How many knots lead from one observation to the next.</summary>
    internal int KnotsPerObservation => Interpolation == PathInterpolation.Rectilinear ? 2 : 1;

    private static IReadOnlyList<double> Distinct(Tensor times)
    {
        using Tensor detached = times.detach();
        using Tensor here = detached.to(CPU);
        using Tensor inOrder = here.contiguous();
        return [.. inOrder.data<double>().ToArray().Distinct().Order()];
    }

    private Tensor At(Tensor times, bool differentiates)
    {
        Inputs.RequireAlive(times, nameof(times), "The tensor of times");
        Inputs.RequireAlive(Knots, nameof(ControlPath), "The path");
        bool isScalar = times.dim() == 0;
        bool isColumn = times.dim() == 1 && times.size(0) == Rows;
        if (!times.is_floating_point() || !(isScalar || isColumn || (times.dim() == 2 && times.size(0) == Rows)))
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; they must be of a floating-point type, and a scalar, "
                + $"[{Rows}] or [{Rows}, n].", nameof(times));
        using DisposeScope scope = NewDisposeScope();
        Tensor all = isScalar ? times.expand(Rows, 1) : isColumn ? times.unsqueeze(1) : times;
        Tensor result = differentiates ? _pieces.Derivative(all) : _pieces.Evaluate(all);
        return (isScalar || isColumn ? result.squeeze(1) : result).MoveToOuterDisposeScope();
    }
}
