using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Density;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>A fitted <see cref="ContinuousFlowAnomalyTrainer"/>: adds the anomaly score of each row, and whether it is an anomaly.</summary>
public sealed class ContinuousFlowAnomalyTransformer : ContinuousFlowTransformer, ISingleFeaturePredictionTransformer<ContinuousFlowModel>
{
    internal const string LoaderSignature = "ContinuousFlowAnomaly";

    private readonly AnomalyOutput _output;

    internal ContinuousFlowAnomalyTransformer(
        IHostEnvironment environment, ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history, AnomalyOutput output)
        : base(environment, LoaderSignature, model, columns, history)
    {
        _output = output;
        Scorer = new AnomalyScorer(model, output);
    }

    /// <summary>The score above which a row is an anomaly: <see cref="Contamination"/> of the training rows have more.</summary>
    public float Threshold => _output.Threshold;

    /// <summary>The share of the training rows that the threshold was chosen by.</summary>
    public double Contamination => _output.Contamination;

    private protected override IRowScorer Scorer { get; }

    private protected override object Output => _output;

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static ContinuousFlowAnomalyTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (ContinuousFlowModel model, FlowFile<AnomalyOutput> file) = Load<AnomalyOutput>(env, ctx, LoaderSignature);
        return new ContinuousFlowAnomalyTransformer(env, model, file.Columns, file.History, file.Output);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
    [
        new NumberScore(_output.Score, 0, Schemas.AnomalyAnnotations(input, isScore: true)),
        new PositiveScore(_output.PredictedLabel, 1, Schemas.AnomalyAnnotations(input, isScore: false)),
    ];

    private protected override void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output) =>
        FlowExport.Anomaly(graph, network, _output, features, output);

    private protected override byte[] ToBytes() => ToBytes(_output);

    /// <summary>The score of each row and how far it lies above the threshold.</summary>
    private sealed class AnomalyScorer(ContinuousFlowModel model, AnomalyOutput output) : IRowScorer
    {
        public int FeatureCount => model.FeatureCount + model.ConditionCount;

        public int OutputCount => 2;

        public void Score(float[] features, int rows, float[] outputs) => model.Evaluate(features, rows, OutputCount, outputs, (network, x, c) =>
        {
            Tensor score = AnomalyOutput.ScoreOf(network.Evidence(x, c), output.Scale).unsqueeze(1);
            return cat([score, score.Minus(output.Threshold)], 1);
        });
    }
}
