namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>How points on paths are drawn.</summary>
/// <param name="Count">How many.</param>
/// <param name="Noise">Standard deviation σ of the noise that smooths the data, in the flow's units.</param>
/// <param name="Coverage">The share of points beside the data.</param>
/// <param name="Reach">The largest standard deviation of noise that puts them there.</param>
internal readonly record struct PathDraw(int Count, double Noise, double Coverage, double Reach);

/// <summary>
/// Flow matching along arcs, x_t = cos(φ) x + sin(φ) z with φ = πt/2 from data x to noise z (M. Albergo, E. Vanden-Eijnden, Building
/// Normalizing Flows with Stochastic Interpolants, 2023): for data of unit variance all x_t have unit variance, so that the network meets
/// one scale at all times.
/// </summary>
/// <remarks>
/// The velocity that a flow learns at x_t is the mean of φ′ (cos φ z − sin φ x) over all x and z that meet there. With rows x_i and
/// Gaussian smoothing of width σ it is known in closed form, a mean over the rows with weights ∝ exp(−|x_t − cos φ x_i|² / 2s²), s² = (σ
/// cos φ)² + sin² φ. Learning this mean instead of single pairs takes the noise out of the gradients (Y. Xu, S. Tong, T. Jaakkola, Stable
/// Target Field for Reduced Variance Score Estimation, 2023), and it holds wherever x_t lies: points may be drawn beside the data as well,
/// where outliers will be.
/// </remarks>
internal static class VelocityMatching
{
    /// <summary>The mean square of the flow's error in velocity, a scalar.</summary>
    /// <param name="flow">The flow.</param>
    /// <param name="rows">x, standardised, shape <c>[rows, features]</c>.</param>
    /// <param name="conditions">Shape <c>[rows, conditions]</c>; null for none.</param>
    /// <param name="weights">Shape <c>[rows]</c>; null for equal ones.</param>
    /// <param name="draw">How points are drawn.</param>
    /// <param name="generator">Source of randomness.</param>
    /// <param name="part">Which of the points are wanted, while the others are drawn as well; null for all.</param>
    public static Tensor Loss(
        ContinuousFlow flow, Tensor rows, Tensor? conditions, Tensor? weights, PathDraw draw, Generator generator,
        (long First, long Count)? part = null)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor times, points, velocities;
        using (no_grad())
        {
            long features = rows.shape[1];
            Tensor chosen = weights is null
                ? Draws.Integers(rows.shape[0], draw.Count, rows.device, generator)
                : Draws.Places(weights.Plus(1e-30), draw.Count, generator);
            // One time in each of equal intervals: uniform over all, with less variance.
            times = Numbers.Range(draw.Count, ScalarType.Float32, rows.device)
                .Plus(Draws.Uniform([draw.Count], ScalarType.Float32, rows.device, generator)).Over(draw.Count).unsqueeze(1);
            Tensor angle = times.Times(Math.PI / 2), a = angle.cos(), b = angle.sin();
            Tensor x = rows.index_select(0, chosen);
            conditions = conditions?.index_select(0, chosen);
            Tensor z = Normal(x.shape);
            if (conditions is not null)
            {
                // Rows under other conditions say nothing about this one: single pairs.
                x = x.Plus(Normal(x.shape).Times(draw.Noise));
                points = (a * x).Plus(b * z);
                velocities = Own((a * z - b * x).Times(Math.PI / 2));
            }
            else
            {
                x = x.Plus(Spread(draw, rows.device, generator) * Normal(x.shape));
                points = (a * x).Plus(b * z);
                velocities = Velocities(Own(points), Own(a), Own(b), rows, weights, draw.Noise);
            }
            (times, points, conditions) = (Own(times), Own(points), conditions is null ? null : Own(conditions));

            Tensor Own(Tensor all) => part is { } own ? all.narrow(0, own.First, own.Count) : all;

            Tensor Normal(long[] shape) => Draws.Normal(shape, ScalarType.Float32, rows.device, generator);
        }

        return FlowMatching.VelocityError(flow, times, points, velocities, conditions).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The standard deviation of each point's noise: σ, and for a share of them anything between σ and the reach, evenly in its logarithm.
    /// </summary>
    private static Tensor Spread(PathDraw draw, Device device, Generator generator)
    {
        using Scalar coverage = draw.Coverage, noise = draw.Noise;
        double least = Math.Max(draw.Noise, 1e-3), most = Math.Max(draw.Reach, least);
        Tensor wide = Draws.Uniform([draw.Count, 1], ScalarType.Float32, device, generator)
            .Times(Math.Log(most / least)).exp_().Times(least);
        Tensor isWide = Draws.Uniform([draw.Count, 1], ScalarType.Float32, device, generator).lt(coverage);
        return where(isWide, wide, full_like(wide, noise));
    }

    /// <summary>The mean velocity at points.</summary>
    private static Tensor Velocities(Tensor points, Tensor a, Tensor b, Tensor rows, Tensor? weights, double noise)
    {
        double variance = noise * noise;
        // Near t = 0 a density without smoothing is a sum of needles; a floor keeps the weights finite.
        Tensor s2 = a.Squared().Times(variance).Plus(b.Squared()).AtLeast(1e-8);
        // −|x_t − a x_i|² / 2s², without what is the same for all rows: one product, with −|x_i|² / 2 as one feature more. There are as
        // many of these numbers as points times rows, and further passes over them would cost much of a step.
        Tensor near = a / s2, halves = rows.Squared().sum(dim: 1L, keepdim: true).Over(-2);
        Tensor logits = cat([points * near, a * near], 1).mm(cat([rows, halves], 1).t());
        if (weights is not null)
            logits = logits.Plus(weights.Plus(1e-30).log());
        Tensor mean = logits.softmax(1).mm(rows);
        return ((a * b).Times(1 - variance) / s2 * (points - a * mean) - b * mean).Times(Math.PI / 2);
    }
}
