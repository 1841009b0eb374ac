using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Density;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ContinuousFlowDensityTransformer), typeof(ContinuousFlowDensityTransformer),
    null, typeof(SignatureLoadModel),
    "Continuous flow density", ContinuousFlowDensityTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="ContinuousFlowDensityEstimator"/>: adds log p of each row, and on demand bits per dimension and the row's latent
/// vector; draws samples.
/// </summary>
public sealed class ContinuousFlowDensityTransformer : ContinuousFlowTransformer
{
    internal const string LoaderSignature = "ContinuousFlowDensity";

    private readonly DensityOutput _output;

    internal ContinuousFlowDensityTransformer(
        IHostEnvironment environment, ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history,
        DensityOutput output)
        : base(environment, LoaderSignature, model, columns, history)
    {
        _output = output;
        Scorer = new DensityScorer(model, output.Latent is not null);
    }

    private protected override IRowScorer Scorer { get; }

    private protected override object Output => _output;

    /// <summary>The mean of log p over the rows of data, in nats: the larger, the better the density fits them.</summary>
    /// <param name="data">Data with the feature column, and the condition's where there is one.</param>
    /// <returns>The mean over rows without missing values.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    /// <exception cref="InvalidOperationException">There is no row without missing values.</exception>
    public double LogLikelihood(IDataView data)
    {
        IDataView scored = Transform(data);
        DataViewSchema.Column column = scored.Schema[_output.LogDensity];
        using DataViewRowCursor cursor = scored.GetRowCursor([column]);
        ValueGetter<float> getter = cursor.GetGetter<float>(column);
        double sum = 0;
        long count = 0;
        float value = 0;
        while (cursor.MoveNext())
        {
            getter(ref value);
            if (float.IsNaN(value))
                continue;
            sum += value;
            count++;
        }
        return count > 0
            ? sum / count
            : throw new InvalidOperationException($"The data have no row without missing values in '{FeatureColumnName}'.");
    }

    /// <summary>Draws independent rows.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The same seed draws the same rows; null for others each time.</param>
    /// <param name="condition">The condition of all of them; null where the density has none.</param>
    /// <returns>Data with the feature column, in the units of the training data.</returns>
    /// <exception cref="ArgumentException">The count is not positive, or the condition does not fit.</exception>
    public IDataView Sample(int count, int? seed = null, float[]? condition = null)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(SampledRow));
        schema[nameof(SampledRow.Features)].ColumnName = FeatureColumnName;
        schema[nameof(SampledRow.Features)].ColumnType = FeatureColumnType;
        IEnumerable<SampledRow> rows = Model.Sample(count, condition, seed).Select(features => new SampledRow { Features = features });
        return DataViewConstructionUtils.CreateFromEnumerable(Host, rows.ToArray(), schema);
    }

    /// <summary>Draws independent rows as a table with the columns that the features were put together from.</summary>
    /// <remarks>
    /// Each feature is a column of <see cref="float"/>, called as its slot is (Concatenate keeps the names of columns), or “Features.3” after
    /// the feature column and the slot where the slot has no name of its own. The slots of a category that OneHotEncoding has made are one
    /// column of text with the category's values: the largest slot counts. <see cref="Dequantization.Integers"/> makes columns of whole
    /// numbers whole again, within the range that they had in training; without it numbers are drawn from a density that is smoothed.
    /// </remarks>
    /// <param name="count">How many.</param>
    /// <param name="seed">The same seed draws the same rows; null for others each time.</param>
    /// <param name="condition">The condition of all of them; null where the density has none.</param>
    /// <returns>The table, in the units of the training data.</returns>
    /// <exception cref="ArgumentException">The count is not positive, or the condition does not fit.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <example><code>
    /// var features = mlContext.Transforms.Categorical.OneHotEncoding("colour")
    ///     .Append(mlContext.Transforms.Concatenate("Features", "length", "colour")).Fit(rows);
    /// var options = new ContinuousFlowDensityEstimator.Options { Dequantization = Dequantization.Integers };
    /// var density = mlContext.Transforms.ContinuousFlowDensity(options).Fit(features.Transform(rows));
    /// IDataView others = density.SampleAsDataView(1000, seed: 1);   // length: Single, colour: String
    /// </code></example>
    public IDataView SampleAsDataView(int count, int? seed = null, float[]? condition = null)
    {
        float[][] rows = Model.Sample(count, condition, seed);
        return TableView.Of(Host, InputColumns.TableColumns.Select(column => (column.Name, column.ValuesOf(rows))));
    }

    /// <summary>A regression by quantiles of the only feature; both share the weights.</summary>
    /// <exception cref="InvalidOperationException">There is no condition, or more than one feature.</exception>
    internal ContinuousFlowQuantileTransformer WithQuantiles(IHostEnvironment environment, QuantileOutput output)
    {
        Model.CheckQuantiles(output.Probabilities);
        var columns = new FlowColumns(ConditionColumnName!, [Model.ConditionCount], null);
        return new ContinuousFlowQuantileTransformer(environment, Model.Share(), columns, TrainingHistory, output);
    }

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static ContinuousFlowDensityTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (ContinuousFlowModel model, FlowFile<DensityOutput> file) = Load<DensityOutput>(env, ctx, LoaderSignature, _ => null);
        return new ContinuousFlowDensityTransformer(env, model, file.Columns, file.History, file.Output);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input)
    {
        List<ScoreColumn> columns = [new NumberScore(_output.LogDensity, 0, DataViewSchema.Annotations.Empty)];
        if (_output.BitsPerDimension is { } bits)
            columns.Add(new NumberScore(bits, 1, DataViewSchema.Annotations.Empty));
        if (_output.Latent is { } latent)
            columns.Add(new VectorScore(latent, Model.FeatureCount, DataViewSchema.Annotations.Empty));
        return [.. columns];
    }

    private protected override void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output) =>
        DensityExport.Write(graph, network, _output, features, output);

    private protected override byte[] ToBytes() => ToBytes(_output);

    private sealed class SampledRow
    {
        public float[] Features { get; set; } = [];
    }

    /// <summary>log p, bits per dimension and, on demand, z of each row.</summary>
    private sealed class DensityScorer(ContinuousFlowModel model, bool isLatentWanted) : IVectorScorer
    {
        public int FeatureCount => model.FeatureCount + model.ConditionCount;

        public int OutputCount => 2 + (isLatentWanted ? model.FeatureCount : 0);

        public void Score(float[] features, int rows, float[] outputs) =>
            model.Evaluate(features, rows, OutputCount, outputs, (network, x, c) =>
        {
            Tensor? latent = null;
            Tensor logDensity;
            if (isLatentWanted)
                (latent, logDensity) = network.Encode(x, c);
            else
                logDensity = network.LogDensity(x, c);
            logDensity = logDensity.unsqueeze(1);
            Tensor bits = logDensity.Over(-Math.Log(2) * network.Description.FeatureCount);
            return cat(latent is null ? [logDensity, bits] : [logDensity, bits, latent], 1);
        });
    }
}

/// <summary>The names of the columns that a density adds, null for those that are not wanted.</summary>
internal sealed record DensityOutput(string LogDensity, string? BitsPerDimension, string? Latent);
