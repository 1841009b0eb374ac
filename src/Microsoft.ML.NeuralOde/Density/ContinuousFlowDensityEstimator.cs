using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Estimates the density of rows by a continuous normalizing flow, which has an exact likelihood and can be sampled (R. T. Q. Chen et al.,
/// Neural Ordinary Differential Equations, 2018; W. Grathwohl et al., FFJORD, 2019).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.ContinuousFlowDensity(TransformsCatalog, string, string, string, int, int, double, FlowTrainingMethod, double, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Condition column</term><description><see cref="float"/> or a vector of it of known size, if any</description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>LogDensity</c>, <see cref="float"/>, in nats; on demand bits per dimension,
/// <see cref="float"/>, and the latent vector, a vector of <see cref="float"/> of the features' size</description></item>
/// <item><term>Normalisation</term><description>part of the model and of its density</description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// </list>
/// <para>
/// The density is one of the features in their own units: log p(x) = log p(z) + ∫ tr(∂f/∂u) dt + Σ log scale, with u the standardised row
/// and z the end of du/dt = f(u, t). Rows with missing values are left out of the training with one warning, and get NaN afterwards.
/// </para>
/// </remarks>
public sealed partial class ContinuousFlowDensityEstimator : IEstimator<ContinuousFlowDensityTransformer>
{
    internal const string DefaultLogDensityColumnName = "LogDensity";

    private readonly IHost _host;
    private readonly Options _options;

    internal ContinuousFlowDensityEstimator(IHostEnvironment environment, Options options)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(ContinuousFlowDensityEstimator));
        _options = (Options)options.Clone();
        _options.Validate();
    }

    /// <summary>The feature column that is read.</summary>
    public SchemaShape.Column FeatureColumn => TrainerUtils.MakeR4VecFeature(_options.FeatureColumnName);

    /// <summary>The column of weights that is read; null for equal weights.</summary>
    public SchemaShape.Column? WeightColumn => Schemas.WeightColumn(_options.ExampleWeightColumnName);

    /// <summary>The columns that the fitted estimator will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns, the log-density and what else is asked for.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        new FlowFit(_host, _options).CheckSchema(inputSchema);
        return Schemas.WithNumbers(
            inputSchema, (_options.LogDensityColumnName, false), (_options.BitsPerDimensionColumnName, false),
            (_options.LatentColumnName, true));
    }

    /// <summary>Trains a flow.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted density.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">There are fewer than two usable rows, a negative weight, or a constant feature without
    /// smoothing.</exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public ContinuousFlowDensityTransformer Fit(IDataView input) => Fit(input, null);

    /// <summary>Trains a flow and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public ContinuousFlowDensityTransformer Fit(IDataView input, IDataView? validationData)
    {
        using var fit = new FlowFit(_host, _options);
        (ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history) = fit.Fit(input, validationData);
        return new ContinuousFlowDensityTransformer(
            _host, model, columns, history,
            new DensityOutput(_options.LogDensityColumnName, _options.BitsPerDimensionColumnName, _options.LatentColumnName));
    }
}
