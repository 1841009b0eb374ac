using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML;

public static partial class NeuralOdeCatalog
{
    /// <summary>
    /// A regression that predicts a whole distribution: quantiles of a number under features, from the conditional density that was learned
    /// of it.
    /// </summary>
    /// <remarks>
    /// The density is trained with the number as its only feature, a vector of length 1, and the features as its condition. Quantiles are
    /// those of the density, smoothed as it is by <see cref="ContinuousFlowTrainerOptions.Smoothing"/>: make that small against the
    /// uncertainty that is left. Data that are scored need the column of the condition alone, which must be a vector. Rows with missing
    /// values get NaN. ONNX does not take the columns.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="density">The density. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="probabilities">The probabilities of the quantiles; null for 0.05, 0.25, 0.5, 0.75 and 0.95.</param>
    /// <param name="scoreColumnName">The column of the median, <see cref="float"/>.</param>
    /// <param name="quantilesColumnName">The column of the quantiles, a vector of <see cref="float"/> whose slots are called after the
    /// probabilities.</param>
    /// <returns>The regression, which reads the column that was the density's condition.</returns>
    /// <exception cref="ArgumentException">A probability does not lie between 0 and 1, or there is none; a name is empty, or both are the
    /// same.</exception>
    /// <exception cref="InvalidOperationException">The density has no condition, or more than one feature.</exception>
    /// <exception cref="ObjectDisposedException">The density was disposed of.</exception>
    /// <example><code>
    /// var rows = mlContext.Transforms.Concatenate("Target", "Price").Fit(houses).Transform(houses);
    /// var density = mlContext.Transforms.ContinuousFlowDensity(
    ///     featureColumnName: "Target", conditionColumnName: "Features", smoothing: 0.01).Fit(rows);
    /// using var regression = mlContext.Regression.PredictQuantiles(density, [0.05, 0.5, 0.95]);
    /// IDataView predicted = regression.Transform(others);   // Score, Quantiles
    /// </code></example>
    public static ContinuousFlowQuantileTransformer PredictQuantiles(
        this RegressionCatalog catalog, ContinuousFlowDensityTransformer density, double[]? probabilities = null,
        string scoreColumnName = DefaultColumnNames.Score, string quantilesColumnName = "Quantiles")
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(density);
        ArgumentException.ThrowIfNullOrWhiteSpace(scoreColumnName);
        ArgumentException.ThrowIfNullOrWhiteSpace(quantilesColumnName);
        if (scoreColumnName == quantilesColumnName)
            throw new ArgumentException(
                $"Both columns are called '{scoreColumnName}'; they need different names.", nameof(quantilesColumnName));
        probabilities = probabilities is null ? [0.05, 0.25, 0.5, 0.75, 0.95] : [.. probabilities];
        return density.WithQuantiles(
            Environments.Of(catalog), new QuantileOutput(scoreColumnName, quantilesColumnName, probabilities));
    }
}
