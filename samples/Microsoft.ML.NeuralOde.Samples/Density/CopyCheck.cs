using System.Numerics.Tensors;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>How near generated rows come to training rows, beside rows that were held back, which cannot be copies.</summary>
/// <param name="MedianDistance">The median distance of generated rows to the nearest training row.</param>
/// <param name="HeldBackMedianDistance">The same of rows that were held back.</param>
/// <param name="NearShare">
/// The share of the generated rows that come nearer than all but <see cref="Near"/> of those held back; rows at just that distance count half.
/// </param>
/// <param name="HeldBackNearShare">The same of the rows held back: <see cref="Near"/>, or more where many are equally near.</param>
/// <param name="EqualRows">The share of the generated rows that equal a training row.</param>
/// <param name="HeldBackEqualRows">The same of rows that were held back: whole numbers and categories repeat by themselves.</param>
/// <param name="LooksCopied">Whether more generated rows come near than chance explains, by three standard deviations.</param>
internal sealed record CopyCheck(
    double MedianDistance, double HeldBackMedianDistance, double NearShare, double HeldBackNearShare, double EqualRows,
    double HeldBackEqualRows, bool LooksCopied)
{
    /// <summary>The share of the rows held back that count as near.</summary>
    public const double Near = 0.05;

    /// <summary>Compares rows of features, by Euclidean distances in standard deviations of the training rows.</summary>
    public static CopyCheck Of(float[][] training, float[][] heldBack, float[][] generated)
    {
        var scale = new FeatureScale(training);
        float[][] known = scale.Apply(training);
        double[] others = Nearest(known, scale.Apply(heldBack)), drawn = Nearest(known, scale.Apply(generated));
        double limit = others[(int)(Near * others.Length)];
        // Rows that are as near as the limit itself count half, since whole numbers have many of them.
        double heldBackShare = Share(others, limit), share = Share(drawn, limit);
        double noise = Math.Sqrt(heldBackShare * (1 - heldBackShare) * (1.0 / others.Length + 1.0 / drawn.Length));
        return new CopyCheck(
            drawn[drawn.Length / 2], others[others.Length / 2], share, heldBackShare, EqualShare(drawn), EqualShare(others),
            share > heldBackShare + 3 * noise);

        static double Share(double[] distances, double limit) =>
            distances.Average(distance => distance < limit ? 1 : distance == limit ? 0.5 : 0);

        static double EqualShare(double[] distances) => distances.Average(distance => distance == 0 ? 1.0 : 0);
    }

    /// <summary>In rising order.</summary>
    private static double[] Nearest(float[][] training, float[][] rows)
    {
        var distances = new double[rows.Length];
        Parallel.For(0, rows.Length, row => distances[row] = training.Min(other => TensorPrimitives.Distance<float>(other, rows[row])));
        Array.Sort(distances);
        return distances;
    }
}
