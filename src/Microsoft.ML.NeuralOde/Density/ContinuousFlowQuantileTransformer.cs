using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ContinuousFlowQuantileTransformer), typeof(ContinuousFlowQuantileTransformer),
    null, typeof(SignatureLoadModel),
    "Continuous flow quantiles", ContinuousFlowQuantileTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A regression that predicts a whole distribution: adds the median of a number and quantiles of it, as a conditional density has them.
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.PredictQuantiles(RegressionCatalog, ContinuousFlowDensityTransformer, double[], string, string)"/>. The
/// feature column is what the density had for its condition; the number itself is not needed.</para>
/// <para>
/// Solutions of dz/dt = f(z, t) in one dimension never cross, so that the flow is increasing: the quantile of a probability p is where the
/// flow carries Φ⁻¹(p), without a sample being drawn. Of an ensemble each flow has quantiles, and their mean is taken.
/// </para>
/// </remarks>
public sealed class ContinuousFlowQuantileTransformer : ContinuousFlowTransformer
{
    internal const string LoaderSignature = "ContinuousFlowQuantiles";

    private readonly QuantileOutput _output;

    internal ContinuousFlowQuantileTransformer(
        IHostEnvironment environment, ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history,
        QuantileOutput output)
        : base(environment, LoaderSignature, model, columns, history)
    {
        _output = output;
        Scorer = new QuantileScorer(model, [.. output.Probabilities, QuantileOutput.Median]);
    }

    /// <summary>The probabilities of the quantiles, in the order of the column's slots.</summary>
    public IReadOnlyList<double> Probabilities => _output.Probabilities;

    private protected override IRowScorer Scorer { get; }

    private protected override object Output => _output;

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static ContinuousFlowQuantileTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (ContinuousFlowModel model, FlowFile<QuantileOutput> file) =
            Load<QuantileOutput>(env, ctx, LoaderSignature, output => output.FindDefect());
        return new ContinuousFlowQuantileTransformer(env, model, file.Columns, file.History, file.Output);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
    [
        new NumberScore(_output.Score, _output.Probabilities.Length, Schemas.RegressionAnnotations(input, isVector: false)),
        new VectorScore(_output.Quantiles, _output.Probabilities.Length, Schemas.SlotNamesOf(_output.SlotNames()), first: 0),
    ];

    private protected override void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output) =>
        throw new NotSupportedException(
            $"The column '{_output.Quantiles}' of quantiles cannot be written to ONNX, since the flow has a condition.");

    private protected override byte[] ToBytes() => ToBytes(_output);

    /// <summary>Quantiles of the only feature under the condition that is a row's features.</summary>
    private sealed class QuantileScorer(ContinuousFlowModel model, double[] probabilities) : IVectorScorer
    {
        public int FeatureCount => model.ConditionCount;

        public int OutputCount => probabilities.Length;

        public void Score(float[] features, int rows, float[] outputs) =>
            model.EvaluateConditions(features, rows, OutputCount, outputs, (network, c) => network.Quantiles(c, probabilities));
    }
}

/// <summary>The columns of a regression by quantiles.</summary>
/// <param name="Score">The column of the median.</param>
/// <param name="Quantiles">The column of all quantiles.</param>
/// <param name="Probabilities">Their probabilities.</param>
internal sealed record QuantileOutput(string Score, string Quantiles, double[] Probabilities)
{
    public const double Median = 0.5;

    /// <summary>A name for each quantile: its probability.</summary>
    public string[] SlotNames() => [.. Probabilities.Select(p => p.ToString(CultureInfo.InvariantCulture))];

    /// <summary>What makes no sense in what was read, as a clause; null for nothing.</summary>
    public string? FindDefect() =>
        Probabilities.Length == 0 || Probabilities.Any(p => p is not (> 0 and < 1)) ? "its quantiles make no sense" : null;
}
