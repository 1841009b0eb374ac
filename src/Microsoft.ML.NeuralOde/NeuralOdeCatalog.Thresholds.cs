using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML;

public static partial class NeuralOdeCatalog
{
    /// <summary>A binary classifier with another threshold: true is predicted for scores above it.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The classifier. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="threshold">
    /// The score, which is the logarithm of the odds: for true from probability p on, log(p / (1 − p)). 0 is p = 0.5.
    /// </param>
    /// <returns>The classifier with the threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not finite.</exception>
    /// <example>
    /// <code>
    /// // True only where its probability is above 0.9.
    /// var careful = mlContext.BinaryClassification.ChangeModelThreshold(model, MathF.Log(0.9f / 0.1f));
    /// </code>
    /// </example>
    public static NeuralOdeBinaryClassificationTransformer ChangeModelThreshold(
        this BinaryClassificationCatalog catalog, NeuralOdeBinaryClassificationTransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return model.WithThreshold(Environments.Of(catalog), threshold);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last binary classifier of this library has another threshold.</summary>
    /// <inheritdoc cref="ChangeModelThreshold(BinaryClassificationCatalog, NeuralOdeBinaryClassificationTransformer, float)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="threshold">The score above which true is predicted.</param>
    /// <exception cref="ArgumentException">The pipeline has no binary classifier of this library.</exception>
    public static ITransformer ChangeModelThreshold(this BinaryClassificationCatalog catalog, ITransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return ModelSteps.ReplaceLast<NeuralOdeBinaryClassificationTransformer>(model, step =>
            step.WithThreshold(Environments.Of(catalog), threshold));
    }

    /// <summary>A detector of anomalies with another threshold: rows with scores above it are anomalies.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="threshold">The score.</param>
    /// <returns>The detector with the threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not finite.</exception>
    public static ContinuousFlowAnomalyTransformer ChangeModelThreshold(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return model.WithThreshold(Environments.Of(catalog), threshold);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library has another threshold.</summary>
    /// <inheritdoc cref="ChangeModelThreshold(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, float)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="threshold">The score.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library.</exception>
    public static ITransformer ChangeModelThreshold(this AnomalyDetectionCatalog catalog, ITransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(
            model, step => step.WithThreshold(Environments.Of(catalog), threshold));
    }

    /// <summary>
    /// A detector of anomalies for another contamination, without a new training: so large a share of the training rows lies above the new
    /// threshold.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="contamination">
    /// The share, between 0 and 1. The model keeps the scores of up to 4,096 training rows; of more, it keeps that many at equal distances
    /// in their order, which is what a share is exact to.
    /// </param>
    /// <returns>The detector with the new threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The contamination does not lie between 0 and 1.</exception>
    /// <exception cref="InvalidOperationException">The model was saved by an earlier version, which did not keep those scores, or was
    /// calibrated with too few rows.</exception>
    public static ContinuousFlowAnomalyTransformer ChangeModelContamination(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model, double contamination)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckContamination(contamination);
        return model.WithContamination(Environments.Of(catalog), contamination);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library has another contamination.</summary>
    /// <inheritdoc cref="ChangeModelContamination(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, double)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="contamination">The share, between 0 and 1.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library.</exception>
    public static ITransformer ChangeModelContamination(this AnomalyDetectionCatalog catalog, ITransformer model, double contamination)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckContamination(contamination);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(model, step =>
            step.WithContamination(Environments.Of(catalog), contamination));
    }

    internal static void CheckThreshold(float threshold)
    {
        if (!float.IsFinite(threshold))
            throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "The threshold must be a finite number.");
    }

    private static void CheckContamination(double contamination)
    {
        if (contamination is not (> 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(contamination), contamination, "The contamination must lie between 0 and 1.");
    }
}
