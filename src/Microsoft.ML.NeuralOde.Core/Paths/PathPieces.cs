namespace Microsoft.ML.NeuralOde.Paths;

/// <summary>
/// The pieces of a path: between two knots X(u) = value + u first + u² second + u³ third, for u from 0 to 1. Each row of the batch has as
/// many, the last ones of short rows of length 0.
/// </summary>
/// <param name="Knots">The times, float64 of shape <c>[batch, knots]</c>, not decreasing.</param>
/// <param name="Values">X at the knots, <c>[batch, knots, channels]</c>.</param>
/// <param name="First">Shape <c>[batch, knots − 1, channels]</c>.</param>
/// <param name="Second">The same; null where the pieces are straight.</param>
/// <param name="Third">The same.</param>
internal sealed record PathPieces(Tensor Knots, Tensor Values, Tensor First, Tensor? Second, Tensor? Third)
{
    /// <summary>Whether the pieces are straight.</summary>
    public bool IsLinear => Second is null;

    /// <summary>All tensors, as arguments of rows.</summary>
    public IReadOnlyList<Tensor> Tensors => IsLinear ? [Knots, Values, First] : [Knots, Values, First, Second!, Third!];

    public static PathPieces Of(IReadOnlyList<Tensor> tensors) =>
        tensors.Count == 3
        ? new(tensors[0], tensors[1], tensors[2], null, null) : new(tensors[0], tensors[1], tensors[2], tensors[3], tensors[4]);

    /// <summary>X(end) − X(start) of each piece, <c>[batch, knots − 1, channels]</c>.</summary>
    public Tensor Increments() => IsLinear ? First : First.Plus(Second!).Plus(Third!);

    /// <summary>X at times of shape <c>[batch, n]</c>: <c>[batch, n, channels]</c>; beyond the ends the value there.</summary>
    public Tensor Evaluate(Tensor times)
    {
        if (Knots.size(1) == 1)
            return Values.expand(Values.size(0), times.size(1), Values.size(2));
        (Tensor piece, Tensor u, _) = Locate(times);
        Tensor sum = At(First, piece);
        if (!IsLinear)
            sum = ((At(Third!, piece) * u).Plus(At(Second!, piece)) * u).Plus(sum);
        return At(Values, piece).Plus(sum * u);
    }

    /// <summary>dX/dt at times of shape <c>[batch, n]</c>: behind a knot where it jumps there; 0 beyond the ends.</summary>
    public Tensor Derivative(Tensor times)
    {
        if (Knots.size(1) == 1)
            return zeros(Values.size(0), times.size(1), Values.size(2), Values.dtype, Values.device);
        (Tensor piece, Tensor u, Tensor rate) = Locate(times);
        return Slope(At(First, piece), IsLinear ? null : At(Second!, piece), IsLinear ? null : At(Third!, piece), u) * rate;
    }

    /// <summary>The same path with further knots at times of shape <c>[batch, n]</c>, and their places among all,
    /// <c>[batch, n]</c>.</summary>
    public (PathPieces Pieces, Tensor Places) With(Tensor times)
    {
        long knots = Knots.size(1);
        (Tensor piece, Tensor within) = Place(times.to(ScalarType.Float64));
        Tensor own = Numbers.Range(knots, ScalarType.Float64, Knots.device).unsqueeze(0).expand(Knots.size(0), knots);
        Tensor all = cat([own, within.Plus(piece.to(ScalarType.Float64))], 1);
        Tensor order = all.detach().argsort(1);
        Tensor places = order.argsort(1).narrow(1, knots, times.size(1));
        Tensor inOrder = all.gather(1, order);
        // Each new piece is a part of an old one, from u to u + width.
        Tensor start = inOrder.narrow(1, 0, all.size(1) - 1);
        Tensor old = start.detach().floor().to(ScalarType.Int64).Within(0, knots - 2);
        Tensor exact = start - old.to(ScalarType.Float64);
        Tensor times0 = Knots.gather(1, old);
        Tensor newKnots = cat([times0.Plus((Knots.gather(1, old.Shift(1)) - times0) * exact), Knots.narrow(1, knots - 1, 1)], 1);
        Tensor u = exact.to(Values.dtype).unsqueeze(2);
        Tensor width = inOrder.diff(1, 1).to(Values.dtype).unsqueeze(2);
        Tensor first = At(First, old);
        Tensor? second = IsLinear ? null : At(Second!, old);
        Tensor? third = IsLinear ? null : At(Third!, old);
        Tensor rise = IsLinear ? first : ((third! * u).Plus(second!) * u).Plus(first);
        Tensor values = cat([At(Values, old).Plus(rise * u), Values.narrow(1, knots - 1, 1)], 1);
        PathPieces pieces = IsLinear
            ? new PathPieces(newKnots, values, first * width, null, null)
            : new PathPieces(
                newKnots, values, Slope(first, second, third, u) * width, (third! * u).Times(3).Plus(second!) * width.Squared(),
                third! * width.Power(3));
        return (pieces, places);
    }

    /// <summary>dX/du.</summary>
    public static Tensor Slope(Tensor first, Tensor? second, Tensor? third, Tensor u) =>
        second is null ? first : (((third! * u).Times(3).Plus(second.Times(2))) * u).Plus(first);

    /// <summary>The piece of each time, the place u in it, and du/dt.</summary>
    private (Tensor Piece, Tensor U, Tensor Rate) Locate(Tensor times)
    {
        Tensor at = times.to(ScalarType.Float64);
        (Tensor piece, Tensor u) = Place(at);
        Tensor duration = Knots.gather(1, piece.Shift(1)) - Knots.gather(1, piece);
        Tensor hasNone = duration.detach().eq(Numbers.Zero);
        Tensor rate = where(hasNone, zeros_like(duration.detach()), where(hasNone, ones_like(duration.detach()), duration).reciprocal());
        Tensor isInside = at.detach()
            .ge(Knots.detach().narrow(1, 0, 1)).logical_and(at.detach().le(Knots.detach().narrow(1, Knots.size(1) - 1, 1)));
        return (piece, u.to(Values.dtype).unsqueeze(2), (rate * isInside.to(rate.dtype)).to(Values.dtype).unsqueeze(2));
    }

    /// <summary>The piece of each time, and the place in it, from 0 to 1, float64.</summary>
    private (Tensor Piece, Tensor U) Place(Tensor at)
    {
        Tensor piece = searchsorted(Knots.detach().contiguous(), at.detach().contiguous(), right: true)
            .Shift(-1).Within(0, Knots.size(1) - 2);
        Tensor start = Knots.gather(1, piece);
        Tensor duration = Knots.gather(1, piece.Shift(1)) - start;
        Tensor hasNone = duration.detach().eq(Numbers.Zero);
        Tensor u = ((at - start) / where(hasNone, ones_like(duration.detach()), duration)).clamp(Numbers.Zero, Numbers.One);
        // A piece without duration is one that padding made, or a jump: it lies behind.
        return (piece, where(hasNone, ones_like(u.detach()), u));
    }

    private static Tensor At(Tensor all, Tensor piece) =>
        all.gather(1, piece.unsqueeze(2).expand(piece.size(0), piece.size(1), all.size(2)));
}
