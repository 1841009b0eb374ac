using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a detector of anomalies: a continuous normalizing flow learns the density of rows that are, at least for the most part, normal;
/// the less probable a row is, the more it is an anomaly (W. Grathwohl et al., FFJORD, 2019; for the training Y. Lipman et al., Flow
/// Matching for Generative Modeling, 2023).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.ContinuousFlow(AnomalyDetectionCatalog.AnomalyDetectionTrainers, string, string, int, int, double, double, double, int)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Label column</term><description>none: the training is unsupervised</description></item>
/// <item><term>Condition column</term><description><see cref="float"/> or a vector of it of known size, if any: what is normal may depend
/// on it</description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>Score</c>, <see cref="float"/>, the larger the less normal; <c>PredictedLabel</c>,
/// <see cref="bool"/>, true for anomalies</description></item>
/// <item><term>Normalisation</term><description>part of the model</description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// </list>
/// <para>
/// The score says how much less probable a row is than the training rows usually are, see <see cref="FlowAnomalyScore"/>; it is a mean over
/// the flows of <see cref="ContinuousFlowTrainerOptions.EnsembleSize"/>. PredictedLabel is true above the threshold that the share
/// <see cref="Options.Contamination"/> of the training rows exceeds. Rows with missing values are left out of the training with
/// one warning, and get the score NaN afterwards; <see cref="Options.MissingValues"/> says whether they are anomalies.
/// </para>
/// </remarks>
public sealed partial class ContinuousFlowAnomalyTrainer : ITrainerEstimator<ContinuousFlowAnomalyTransformer, ContinuousFlowModel>
{
    private readonly IHost _host;
    private readonly Options _options;

    internal ContinuousFlowAnomalyTrainer(IHostEnvironment environment, Options options)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(ContinuousFlowAnomalyTrainer));
        _options = (Options)options.Clone();
        _options.Validate();
    }

    /// <inheritdoc/>
    public TrainerInfo Info { get; } = new(
        normalization: false, calibration: false, caching: false, supportValid: true, supportIncrementalTrain: false);

    /// <summary>The feature column that is read.</summary>
    public SchemaShape.Column FeatureColumn => TrainerUtils.MakeR4VecFeature(_options.FeatureColumnName);

    /// <summary>The column of weights that is read; null for equal weights.</summary>
    public SchemaShape.Column? WeightColumn => Schemas.WeightColumn(_options.ExampleWeightColumnName);

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns, Score and PredictedLabel.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        new FlowFit(_host, _options).CheckSchema(inputSchema);
        return Schemas.WithAnomalyOutputs(inputSchema, _options.PredictedLabelColumnName, _options.ScoreColumnName);
    }

    /// <summary>Trains a detector.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted detector.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">There are fewer than two usable rows, a negative weight, or a constant feature without
    /// smoothing.</exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public ContinuousFlowAnomalyTransformer Fit(IDataView input) => Fit(input, null);

    /// <summary>Trains a detector and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public ContinuousFlowAnomalyTransformer Fit(IDataView input, IDataView? validationData)
    {
        using var fit = new FlowFit(_host, _options, withEvidence: true);
        (ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history) = fit.Fit(input, validationData);
        FlowEvidence evidence = fit.Evidence!;
        AnomalyScale? scale = _options.Score == FlowAnomalyScore.Density ? null : new AnomalyScale(
            EvidenceScale.Of(evidence.Surprise.data<float>().ToArray()), EvidenceScale.Of(evidence.LatentEnergy.data<float>().ToArray()));
        using DisposeScope scope = NewDisposeScope();
        float[] scores = AnomalyOutput.ScoreOf(evidence, scale).data<float>().ToArray();
        Array.Sort(scores);
        double contamination = _options.Contamination ?? ScoreTail.Contamination(scores);
        var output = new AnomalyOutput(
            _options.ScoreColumnName, _options.PredictedLabelColumnName, scale, ScoreQuantiles.Threshold(scores, contamination),
            contamination, _options.MissingValues, ScoreQuantiles.Of(scores));
        return new ContinuousFlowAnomalyTransformer(_host, model, columns, history, output);
    }
}
