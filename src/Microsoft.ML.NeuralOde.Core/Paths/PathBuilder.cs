namespace Microsoft.ML.NeuralOde.Paths;

/// <summary>Makes the pieces of a path from observations.</summary>
internal static class PathBuilder
{
    /// <summary>Works in the current dispose scope.</summary>
    public static PathPieces Build(SeriesBatch series, PathInterpolation interpolation, bool time, bool counts)
    {
        var observed = new ObservedValues(series);
        ScalarType type = series.Values.dtype;
        Tensor times = series.Times;
        Tensor? counted = counts ? observed.Counts(type) : null;
        if (interpolation == PathInterpolation.Rectilinear)
        {
            Tensor held = observed.Held();
            // Time goes on, then the values: one knot more between any two observations.
            long knots = (2 * series.Longest) - 1;
            times = times.repeat_interleave(2, 1).narrow(1, 1, knots);
            Tensor both = counted is null ? held : cat([held, counted], 2);
            both = both.repeat_interleave(2, 1).narrow(1, 0, knots);
            Tensor all = time ? cat([times.unsqueeze(2).to(type), both], 2) : both;
            Tensor rise = both.diff(1, 1);
            return Made(times, all, time ? cat([Durations(times, type), rise], 2) : rise, null, null);
        }
        (Tensor values, Tensor first, Tensor? second, Tensor? third) = Curve(times, observed, interpolation);
        return Made(
            times, Joined(time ? times.unsqueeze(2).to(type) : null, values, counted),
            Joined(time ? Durations(times, type) : null, first, counted?.diff(1, 1)), Extended(second), Extended(third));

        Tensor? Extended(Tensor? coefficients) =>
            coefficients is null ? null
            : Joined(time ? Nothing(coefficients, 1) : null, coefficients, counts ? Nothing(coefficients, series.Channels) : null);
    }

    private static (Tensor Values, Tensor First, Tensor? Second, Tensor? Third) Curve(
        Tensor times, ObservedValues observed, PathInterpolation interpolation)
    {
        if (interpolation == PathInterpolation.NaturalCubic && times.size(1) > 1)
            return CubicPieces.Natural(times, observed);
        Tensor values = interpolation == PathInterpolation.HermiteCubic ? observed.Held() : observed.Between();
        if (interpolation == PathInterpolation.Linear || times.size(1) == 1)
            return (values, values.diff(1, 1), null, null);
        (Tensor first, Tensor second, Tensor third) = CubicPieces.Hermite(times, values);
        return (values, first, second, third);
    }

    /// <summary>With tensors of their own, so that a path does not share the series' handles.</summary>
    private static PathPieces Made(Tensor times, Tensor values, Tensor first, Tensor? second, Tensor? third) =>
        new(times.alias(), values.alias(), first.alias(), second?.alias(), third?.alias());

    private static Tensor Durations(Tensor times, ScalarType type) => times.diff(1, 1).to(type).unsqueeze(2);

    private static Tensor Nothing(Tensor like, long channels) => zeros(like.size(0), like.size(1), channels, like.dtype, like.device);

    private static Tensor Joined(Tensor? time, Tensor values, Tensor? counts) =>
        time is null && counts is null ? values : cat([.. new[] { time, values, counts }.OfType<Tensor>()], 2);
}
