using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML;

public static partial class NeuralOdeCatalog
{
    /// <summary>
    /// A detector of anomalies that says what is strange about a row: it adds a column of what each feature adds to the row's score.
    /// </summary>
    /// <remarks>
    /// A contribution is the amount, in units of the score and never negative, by which the score would fall if this feature alone had a
    /// normal value, the most harmless one of nine quantiles of rows that are drawn from the model. It is an exact difference of scores.
    /// A row with one strange feature has one large contribution; of several strange features each has a small one, since none alone
    /// makes the row normal. Contributions need not add up to the score. They take 9 scores a feature: explain the rows in question
    /// rather than all.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="contributionsColumnName">
    /// The column, a vector of <see cref="float"/> as long as the features, with the names of their slots. Rows with missing values have
    /// NaN.
    /// </param>
    /// <returns>The detector with the column, which is saved with it.</returns>
    /// <exception cref="ArgumentException">The column's name is empty, or that of another column of the detector.</exception>
    /// <exception cref="InvalidOperationException">What is normal depends on a condition.</exception>
    public static ContinuousFlowAnomalyTransformer ExplainAnomalies(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model,
        string contributionsColumnName = "FeatureContributions")
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrWhiteSpace(contributionsColumnName);
        return model.WithContributions(Environments.Of(catalog), contributionsColumnName);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library says what is strange about a row.</summary>
    /// <inheritdoc cref="ExplainAnomalies(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="contributionsColumnName">The column.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library, or the name is empty or taken.</exception>
    public static ITransformer ExplainAnomalies(
        this AnomalyDetectionCatalog catalog, ITransformer model, string contributionsColumnName = "FeatureContributions")
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrWhiteSpace(contributionsColumnName);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(model, step =>
            step.WithContributions(Environments.Of(catalog), contributionsColumnName));
    }
}
