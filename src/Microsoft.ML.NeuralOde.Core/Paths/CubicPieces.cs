namespace Microsoft.ML.NeuralOde.Paths;

/// <summary>Cubic curves through the values of channels at knots.</summary>
internal static class CubicPieces
{
    /// <summary>The coefficients of pieces that have these values and slopes at their ends.</summary>
    /// <param name="values">Shape <c>[batch, knots, channels]</c>.</param>
    /// <param name="start">dX/du at the start of each piece, <c>[batch, knots − 1, channels]</c>.</param>
    /// <param name="end">dX/du at its end.</param>
    public static (Tensor First, Tensor Second, Tensor Third) FromSlopes(Tensor values, Tensor start, Tensor end)
    {
        Tensor rise = values.diff(1, 1);
        Tensor second = rise.Times(3) - start.Times(2) - end;
        Tensor third = start.Plus(end) - rise.Times(2);
        return (start, second, third);
    }

    /// <summary>Backward differences: at each knot the slope of the piece before, at the first that of the first.</summary>
    public static (Tensor First, Tensor Second, Tensor Third) Hermite(Tensor times, Tensor values)
    {
        long pieces = values.size(1) - 1;
        Tensor durations = times.diff(1, 1);
        Tensor hasNone = durations.detach().eq(Numbers.Zero);
        Tensor safe = where(hasNone, ones_like(durations.detach()), durations);
        Tensor rise = values.diff(1, 1);
        // The slope of the piece before, in the units of this one.
        Tensor ratio = (safe.narrow(1, 1, pieces - 1) / safe.narrow(1, 0, pieces - 1)).to(values.dtype).unsqueeze(2);
        Tensor carried = rise.narrow(1, 0, pieces - 1) * ratio;
        Tensor start = cat([rise.narrow(1, 0, 1), carried], 1);
        // Pieces that padding made stay where they are.
        start = where(hasNone.unsqueeze(2), zeros_like(start.detach()), start);
        return FromSlopes(values, start, rise);
    }

    /// <summary>
    /// The natural spline of each channel through its own observations, cut into pieces at all knots.
    /// </summary>
    /// <param name="times">float64, <c>[batch, knots]</c>.</param>
    /// <param name="observed">The values, and which of them were observed.</param>
    /// <returns>The values at the knots and the pieces' coefficients.</returns>
    public static (Tensor Values, Tensor First, Tensor Second, Tensor Third) Natural(Tensor times, ObservedValues observed)
    {
        Tensor seen = observed.Observed.to(ScalarType.Int64);
        Tensor count = seen.sum(1, keepdim: true);
        // The observations of each channel moved to the front, the last one repeated behind them.
        Tensor place = observed.Places;
        Tensor order = where(observed.Observed, place, place.Shift(place.size(1))).argsort(1);
        order = order.gather(1, minimum(place, count.Shift(-1).Within(0, long.MaxValue)));
        Tensor t = times.unsqueeze(2).expand(order.shape).gather(1, order);
        Tensor y = observed.Clean.to(ScalarType.Float64).gather(1, order);
        Tensor curvature = Curvature(t, y, place, count);

        // The observation that each knot lies behind; -1 where there is none yet.
        Tensor rank = seen.cumsum(1).Shift(-1);
        Tensor isInside = rank.ge(Numbers.Zero).logical_and(rank.lt(count.Shift(-1)));
        Tensor node = rank.Within(0, place.size(1) - 1);
        Tensor next = where(isInside, node.Shift(1), node);
        Tensor t0 = t.gather(1, node);
        Tensor y0 = y.gather(1, node);
        Tensor m0 = curvature.gather(1, node);
        Tensor m1 = curvature.gather(1, next);
        Tensor duration = where(isInside, t.gather(1, next) - t0, ones_like(t0.detach()));
        Tensor slope = ((y.gather(1, next) - y0) / duration) - (duration * m0.Times(2).Plus(m1)).Over(6);
        Tensor jerk = (m1 - m0) / duration;
        Tensor none = zeros_like(t0.detach());
        Tensor past = where(isInside, times.unsqueeze(2) - t0, none);
        slope = where(isInside, slope, none);
        m0 = where(isInside, m0, none);
        jerk = where(isInside, jerk, none);

        Tensor values = y0.Plus(past * slope.Plus(past * m0.Over(2).Plus((past * jerk).Over(6))));
        Tensor firstHere = slope.Plus(past * m0.Plus((past * jerk).Over(2)));
        Tensor secondHere = m0.Plus(past * jerk).Over(2);
        long pieces = place.size(1) - 1;
        Tensor width = times.diff(1, 1).unsqueeze(2);
        ScalarType type = observed.Clean.dtype;
        return (
            values.to(type), (width * firstHere.narrow(1, 0, pieces)).to(type),
            (width.Squared() * secondHere.narrow(1, 0, pieces)).to(type),
            (width.Power(3) * jerk.narrow(1, 0, pieces)).Over(6).to(type));
    }

    /// <summary>
    /// The second derivatives of natural splines at their nodes, 0 behind the last: a tridiagonal system whose diagonal dominates, solved
    /// by parallel cyclic reduction (R. W. Hockney and C. R. Jesshope, Parallel Computers, 1981).
    /// </summary>
    private static Tensor Curvature(Tensor t, Tensor y, Tensor place, Tensor count)
    {
        Tensor isInner = place.ge(Numbers.One).logical_and(place.lt(count.Shift(-1)));
        long nodes = t.size(1);
        if (nodes < 3)
            return zeros_like(t.detach());
        Tensor durations = t.diff(1, 1);
        Tensor safe = where(durations.detach().eq(Numbers.Zero), ones_like(durations.detach()), durations);
        Tensor slopes = y.diff(1, 1) / safe;
        Tensor left = Inner(durations.narrow(1, 0, nodes - 2));
        Tensor right = Inner(durations.narrow(1, 1, nodes - 2));
        Tensor lower = where(isInner, left, zeros_like(left.detach()));
        Tensor upper = where(isInner, right, zeros_like(right.detach()));
        Tensor diagonal = where(isInner, left.Plus(right).Times(2), ones_like(left.detach()));
        Tensor target = where(isInner, Inner(slopes.diff(1, 1)).Times(6), zeros_like(left.detach()));
        for (long step = 1; step < nodes; step *= 2)
        {
            Tensor back = lower / Moved(diagonal, step, 1);
            Tensor ahead = upper / Moved(diagonal, -step, 1);
            diagonal = diagonal - (back * Moved(upper, step, 0)).Plus(ahead * Moved(lower, -step, 0));
            target = target - (back * Moved(target, step, 0)).Plus(ahead * Moved(target, -step, 0));
            lower = (back * Moved(lower, step, 0)).neg();
            upper = (ahead * Moved(upper, -step, 0)).neg();
        }
        return target / diagonal;
    }

    /// <summary>Values of the inner nodes, with one more at both ends.</summary>
    private static Tensor Inner(Tensor inner)
    {
        Tensor end = zeros(inner.size(0), 1, inner.size(2), inner.dtype, inner.device);
        return cat([end, inner, end], 1);
    }

    /// <summary>The equations moved by so many places, with equations of nothing where there are none.</summary>
    private static Tensor Moved(Tensor all, long by, double outside)
    {
        using Scalar filling = outside;
        long nodes = all.size(1);
        Tensor rest = full([all.size(0), Math.Abs(by), all.size(2)], filling, all.dtype, all.device);
        return by > 0 ? cat([rest, all.narrow(1, 0, nodes - by)], 1) : cat([all.narrow(1, -by, nodes + by), rest], 1);
    }
}
