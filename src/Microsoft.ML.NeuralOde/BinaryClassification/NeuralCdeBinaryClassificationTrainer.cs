using Microsoft.ML.NeuralOde.BinaryClassification;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural controlled differential equation that classifies series into two classes, as they are: of any length, at times of
/// their own, with values missing; cross-entropy (P. Kidger, J. Morrill, J. Foster, T. Lyons, Neural controlled differential equations for
/// irregular time series, 2020; B. Walker, L. Yang, N. Muca Cirone, C. Salvi, T. Lyons, Structured linear CDEs, 2025).
/// </summary>
/// <remarks>
/// <para>Created by <see cref="SeriesCatalog.NeuralCde(BinaryClassificationCatalog.BinaryClassificationTrainers, string, string, string, string, int, int, double, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Columns of series</term><description>values, a vector of <see cref="float"/> or <see cref="double"/> of any length in which
/// a time's channels stand after those of the time before, or a vector a channel, NaN where a value is missing; and times, a vector of the
/// same types, or none for 0, 1, 2, …</description></item>
/// <item><term>Label column</term><description><see cref="bool"/></description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>PredictedLabel</c>, <see cref="bool"/>; <c>Score</c>, the logarithm of the odds;
/// <c>Probability</c> of true</description></item>
/// <item><term>Normalisation</term><description>part of the model: of each channel over its observed values, of times, counted from a
/// series' first one, by how long series last on average</description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// <item><term>Export to ONNX</term><description>none</description></item>
/// </list>
/// <para>Rows whose label or weight is missing, and series without any value or with infinite ones, are left out with one warning; lengths
/// of times and values that differ, and times that are missing or do not increase, are exceptions that name the row.</para>
/// </remarks>
/// <example>
/// <code>
/// NeuralCdeTransformer model = mlContext.BinaryClassification.Trainers.NeuralCde().Fit(train);
/// Console.WriteLine(mlContext.BinaryClassification.Evaluate(model.Transform(test)).AreaUnderRocCurve);
/// </code>
/// </example>
public sealed partial class NeuralCdeBinaryClassificationTrainer : NeuralCdeTrainer<NeuralCdeBinaryClassificationTrainer.Options>
{
    internal NeuralCdeBinaryClassificationTrainer(IHostEnvironment environment, Options options)
        : base(environment, options, static settings => new BinaryPrediction(
            settings, settings.PredictedLabelColumnName, settings.ProbabilityColumnName, settings.ClassWeighting))
    {
    }
}
