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
    /// <inheritdoc
    /// cref="ExplainAnomalies(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, string)"
    /// path="/*[not(self::param or self::summary)]"/>
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

    /// <summary>
    /// A detector of anomalies that is compared with normal rows which it has not learned from: it adds a column of p-values, and so
    /// large a share of normal rows as the contamination says gives false alarms.
    /// </summary>
    /// <remarks>
    /// The training rows' own scores, by which a detector sets its threshold, are a little lower than those of new rows. Of n rows that
    /// were held back a p-value is (1 + how many of them have the row's score or a larger one) / (n + 1), and PredictedLabel is true where
    /// it is no larger than the contamination. Where new normal rows are like those that were held back, the probability of a false
    /// alarm is at most the contamination (V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005). Of more than
    /// 4,096 rows that many are kept, at equal distances in the order of their scores.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="normalRows">Normal rows that the detector was not trained with. Rows with missing values are left out.</param>
    /// <param name="contamination">The probability of a false alarm, between 0 and 1; it needs 1 / contamination − 1 rows.</param>
    /// <param name="pValueColumnName">The column of p-values, <see cref="float"/>, NaN for rows with missing values.</param>
    /// <returns>The detector with the column and another threshold, both of which are saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The contamination does not lie between 0 and 1, or a column is missing.</exception>
    /// <exception cref="ArgumentException">The name is empty, or that of another column of the detector.</exception>
    /// <exception cref="InvalidOperationException">There are too few rows for such a contamination.</exception>
    /// <example><code>
    /// var split = mlContext.Data.TrainTestSplit(normalRows, testFraction: 0.2);
    /// var detector = mlContext.AnomalyDetection.Trainers.ContinuousFlow().Fit(split.TrainSet);
    /// var calibrated = mlContext.AnomalyDetection.CalibrateAnomalies(detector, split.TestSet, contamination: 0.01);
    /// </code></example>
    public static ContinuousFlowAnomalyTransformer CalibrateAnomalies(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model, IDataView normalRows,
        double contamination = FlowDefaults.Contamination, string pValueColumnName = "PValue")
    {
        CheckCalibration(catalog, model, normalRows, contamination, pValueColumnName);
        return model.Calibrated(Environments.Of(catalog), normalRows, contamination, pValueColumnName);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library is compared with normal rows.</summary>
    /// <inheritdoc
    /// cref="CalibrateAnomalies(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, IDataView, double, string)"
    /// path="/*[not(self::param or self::summary)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="normalRows">Normal rows as the pipeline takes them, which it was not trained with.</param>
    /// <param name="contamination">The probability of a false alarm, between 0 and 1.</param>
    /// <param name="pValueColumnName">The column of p-values.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library, or the name is empty or taken.</exception>
    public static ITransformer CalibrateAnomalies(
        this AnomalyDetectionCatalog catalog, ITransformer model, IDataView normalRows,
        double contamination = FlowDefaults.Contamination, string pValueColumnName = "PValue")
    {
        CheckCalibration(catalog, model, normalRows, contamination, pValueColumnName);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(model, normalRows, (step, reached) =>
            step.Calibrated(Environments.Of(catalog), reached!, contamination, pValueColumnName));
    }

    private static void CheckCalibration(
        AnomalyDetectionCatalog catalog, ITransformer model, IDataView normalRows, double contamination, string pValueColumnName)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(normalRows);
        CheckContamination(contamination);
        ArgumentException.ThrowIfNullOrWhiteSpace(pValueColumnName);
    }
}
