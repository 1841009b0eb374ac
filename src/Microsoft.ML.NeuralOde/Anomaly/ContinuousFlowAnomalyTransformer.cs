using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ContinuousFlowAnomalyTransformer), typeof(ContinuousFlowAnomalyTransformer),
    null, typeof(SignatureLoadModel),
    "Continuous flow anomaly detection", ContinuousFlowAnomalyTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="ContinuousFlowAnomalyTrainer"/>: adds the anomaly score of each row, and whether it is an anomaly.
/// </summary>
public sealed class ContinuousFlowAnomalyTransformer
    : ContinuousFlowTransformer, ISingleFeaturePredictionTransformer<ContinuousFlowModel>, ISingleFeaturePredictionTransformer
{
    internal const string LoaderSignature = "ContinuousFlowAnomaly";

    private readonly AnomalyOutput _output;

    internal ContinuousFlowAnomalyTransformer(
        IHostEnvironment environment, ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history,
        AnomalyOutput output)
        : base(environment, LoaderSignature, model, columns, history)
    {
        _output = output;
        Scorer = new AnomalyScorer(model, output);
    }

    /// <summary>The score above which a row is an anomaly.</summary>
    public float Threshold => _output.Threshold;

    /// <summary>
    /// The share of the training rows that lie above the threshold, or of a calibrated detector the probability with which a normal row
    /// does; null where the threshold itself was given.
    /// </summary>
    public double? Contamination => _output.Contamination;

    /// <summary>What is said of rows with missing values.</summary>
    public MissingValueHandling MissingValues => _output.MissingValues;

    /// <summary>The column of what each feature adds to the score; null where it is not asked for.</summary>
    public string? ContributionsColumnName => _output.Contributions;

    /// <summary>
    /// The column of p-values, the probability with which a normal row has such a score or a larger one; null where the detector was not
    /// calibrated.
    /// </summary>
    public string? PValueColumnName => _output.PValue;

    private protected override IRowScorer Scorer { get; }

    private protected override object Output => _output.ToMetadata();

    /// <summary>The same model with another threshold; both share the weights.</summary>
    internal ContinuousFlowAnomalyTransformer WithThreshold(IHostEnvironment environment, float threshold) =>
        With(environment, _output with { Threshold = threshold, Contamination = null });

    /// <summary>The same model with the threshold of another contamination; both share the weights.</summary>
    /// <exception cref="InvalidOperationException">The model comes from a file that does not hold the scores of its training
    /// rows, or was calibrated with too few rows.</exception>
    internal ContinuousFlowAnomalyTransformer WithContamination(IHostEnvironment environment, double contamination)
    {
        float threshold = _output.ThresholdOf(contamination) ?? throw new InvalidOperationException(
            "The model was saved by an earlier version, without the scores of its training rows, so that the threshold of another "
            + "contamination is not known. Score rows that are normal and call ChangeModelThreshold with a score of your choice, "
            + "or train anew.");
        return With(environment, _output with { Threshold = threshold, Contamination = contamination });
    }

    /// <summary>The same model with a column of what each feature adds to the score; both share the weights.</summary>
    /// <exception cref="ArgumentException">The column is one of the others.</exception>
    /// <exception cref="InvalidOperationException">What is normal depends on a condition.</exception>
    internal ContinuousFlowAnomalyTransformer WithContributions(IHostEnvironment environment, string column)
    {
        if (_output.HasColumn(column))
            throw new ArgumentException(
                $"The column of contributions is '{column}', which is another column of the detector.", nameof(column));
        if (ConditionColumnName is { } condition)
            throw new InvalidOperationException(
                $"What is normal to this detector depends on the column '{condition}', so that no feature has normal values of its own. "
                + "Contributions need a detector without a condition.");
        return With(environment, _output with { Contributions = column });
    }

    /// <summary>The same model, compared with rows that it was not trained with; both share the weights.</summary>
    /// <exception cref="ArgumentException">The column of p-values is one of the others.</exception>
    /// <exception cref="InvalidOperationException">There are too few usable rows.</exception>
    internal ContinuousFlowAnomalyTransformer Calibrated(
        IHostEnvironment environment, IDataView data, double contamination, string pValueColumn)
    {
        if (pValueColumn != _output.PValue && _output.HasColumn(pValueColumn))
            throw new ArgumentException(
                $"The column of p-values is '{pValueColumn}', which is another column of the detector.", nameof(pValueColumn));
        float[] scores = [.. Transform(data).GetColumn<float>(_output.Score).Where(score => !float.IsNaN(score)).Order()];
        if (scores.Length == 0)
            throw new InvalidOperationException(
                $"The data have no row without missing values in '{FeatureColumnName}' to calibrate the detector with.");
        AnomalyOutput output = _output with { Compared = ScoreQuantiles.Of(scores), PValue = pValueColumn, Contamination = contamination };
        return With(environment, output with { Threshold = output.ThresholdOf(contamination)!.Value });
    }

    private ContinuousFlowAnomalyTransformer With(IHostEnvironment environment, AnomalyOutput output) =>
        new(environment, Model.Share(), InputColumns, TrainingHistory, output);

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static ContinuousFlowAnomalyTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (ContinuousFlowModel model, FlowFile<AnomalyOutput> file) =
            Load<AnomalyOutput>(env, ctx, LoaderSignature, output => output.FindDefect());
        return new ContinuousFlowAnomalyTransformer(env, model, file.Columns, file.History, file.Output);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
    [
        new NumberScore(_output.Score, 0, Schemas.AnomalyAnnotations(input, isScore: true)),
        new AboveThreshold(
            _output.PredictedLabel, 0, _output.Threshold, _output.MissingValues == MissingValueHandling.Anomaly,
            Schemas.AnomalyAnnotations(input, isScore: false)),
        .. Contributions(input),
        .. PValues(),
    ];

    private ScoreColumn[] PValues() => _output is { PValue: { } name, Compared: { } compared }
        ? [new ConvertedScore(name, 0, compared.PValue, DataViewSchema.Annotations.Empty)]
        : [];

    private ScoreColumn[] Contributions(DataViewSchema input) => _output.Contributions is { } name
        ? [new VectorScore(name, Model.FeatureCount, Schemas.SlotNamesOf(input[FeatureColumnName]))]
        : [];

    private protected override void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output) =>
        AnomalyExport.Write(graph, network, _output, features, output);

    private protected override byte[] ToBytes() => ToBytes(_output);

    /// <summary>The score of each row.</summary>
    private sealed class AnomalyScorer(ContinuousFlowModel model, AnomalyOutput output) : IVectorScorer
    {
        private readonly FeatureContributions? _contributions = output.Contributions is null ? null : new FeatureContributions();

        public int FeatureCount => model.FeatureCount + model.ConditionCount;

        public int OutputCount => _contributions is null ? 1 : 1 + model.FeatureCount;

        public void Score(float[] features, int rows, float[] outputs)
        {
            model.Evaluate(features, rows, OutputCount, outputs, (network, x, c) =>
                _contributions?.ScoreWithContributions(network, x, output.Scale)
                ?? AnomalyOutput.ScoreOf(network.Evidence(x, c), output.Scale).unsqueeze(1));
            if (output.MissingValues == MissingValueHandling.Refuse
                && outputs.AsSpan(0, rows * OutputCount).ContainsAny(float.NaN, float.NaN))
                throw Missing(features);
        }

        private InvalidOperationException Missing(float[] features)
        {
            int place = Array.FindIndex(features, value => !float.IsFinite(value));
            int slot = place % FeatureCount;
            string what = slot < model.FeatureCount
                ? $"feature {slot} of {model.FeatureCount}"
                : $"number {slot - model.FeatureCount} of the condition";
            return new InvalidOperationException(
                $"A row cannot be scored: {what} (counted from 0) is {features[place]}. "
                + "Fill missing values in before, or train with another value of MissingValues than Refuse.");
        }
    }
}
