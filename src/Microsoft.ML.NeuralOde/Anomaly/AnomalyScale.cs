namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>Where the evidence of normal rows lies: its median over the training rows and the spread around it.</summary>
internal sealed record EvidenceScale(double Median, double Spread)
{
    // One standard deviation of a normal distribution to either side.
    private const double Low = 0.1587, High = 0.8413;

    /// <summary>Of values that are sorted here.</summary>
    public static EvidenceScale Of(float[] values)
    {
        float[] sorted = [.. values.Order()];
        double spread = At(High) - At(Low);
        // Rows that are all alike have no spread: the evidence then counts in its own unit.
        return new EvidenceScale(At(0.5), spread > 0 ? spread : 1);

        double At(double quantile) => sorted[(int)Math.Round(quantile * (sorted.Length - 1))];
    }

    public Tensor Apply(Tensor values)
    {
        using Tensor centred = values.Minus(Median);
        return centred.Over(Spread);
    }
}

/// <summary>What a score is made of.</summary>
/// <param name="Density">The scale of −log p.</param>
/// <param name="Latent">The scale of |z|² / 2.</param>
internal sealed record AnomalyScale(EvidenceScale Density, EvidenceScale Latent)
{
    // So much clearer must the latent distance be: it decides where it stands out, and leaves the order of ordinary rows to the density.
    public const double LatentHandicap = 0.65;

    public Tensor Score(Tensor surprise, Tensor latentEnergy)
    {
        using Tensor density = Density.Apply(surprise);
        using Tensor latent = Latent.Apply(latentEnergy);
        using Tensor handicapped = latent.Minus(LatentHandicap);
        return maximum(density, handicapped);
    }
}
