using Microsoft.ML;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Series;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(NeuralCdeTransformer), typeof(NeuralCdeTransformer), null, typeof(SignatureLoadModel),
    "Neural CDE", NeuralCdeTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted trainer on series: adds what its network predicts to the columns of data, those of its task: for several classes the predicted
/// label, a key with the label's values, and the probability of each class; for two the predicted label, the score (the logarithm of the
/// odds of true) and the probability of true; for a regression the score.
/// </summary>
/// <remarks>A series without any value, or with an infinite one, has scores that are NaN.</remarks>
public sealed class NeuralCdeTransformer : NeuralOdeTransformerBase<NeuralCdeModel>
{
    internal const string LoaderSignature = "NeuralCde";

    private readonly CdeModelDescription _description;
    private readonly SeriesColumns _columns;
    private readonly LabelKeys? _keys;

    internal NeuralCdeTransformer(IHostEnvironment environment, NeuralCdeModel model, CdeModelDescription description)
        : base(environment, LoaderSignature, model, description.ValueColumns[0], [0], description.History)
    {
        _description = description;
        _columns = new SeriesColumns(description.TimeColumn, description.ValueColumns, model.ChannelCount);
        _keys = description.Classes?.ToKeys(model.OutputCount);
    }

    /// <summary>The column of times; null where they are 0, 1, 2, ….</summary>
    public string? TimeColumnName => _description.TimeColumn;

    /// <summary>The columns of values: one of all channels, or one a channel.</summary>
    public IReadOnlyList<string> ValueColumnNames => _description.ValueColumns;

    /// <summary>
    /// The score above which the predicted label of a binary classification is true. 0, which is probability 0.5, unless
    /// <see cref="SeriesCatalog.ChangeModelThreshold(BinaryClassificationCatalog, NeuralCdeTransformer, float)"/> changed it.
    /// </summary>
    public float Threshold => _description.Columns.Threshold;

    private protected override IRowScorer Scorer => Model;

    /// <summary>The same model with another threshold; both share the weights.</summary>
    internal NeuralCdeTransformer WithThreshold(IHostEnvironment environment, float threshold) => Model.Kind == OutputKind.Odds
        ? new NeuralCdeTransformer(
            environment, Model.Share(), _description with { Columns = _description.Columns with { Threshold = threshold } })
        : throw new ArgumentException("The model is no binary classifier; only those have a threshold.", nameof(threshold));

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralCdeTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (NeuralCdeModel model, CdeModelDescription description) = ModelFile.Load(env, ctx, LoaderSignature, Read);
        return new NeuralCdeTransformer(env, model, description);
    }

    private protected override (byte[] Payload, (string Entry, string Text) Metadata) Pack()
    {
        using SharedNetwork<CdeNetwork>.Loan loan = Model.Borrow();
        byte[] payload = new Payload<CdeModelDescription>(_description, loan.Network.ToArrays()).ToBytes();
        string task = Model.Kind switch
        {
            OutputKind.Classes => "multiclass classification",
            OutputKind.Odds => "binary classification",
            _ => "regression"
        };
        return (payload, ModelMetadata.Write(
            $"{task} of series", new { Times = _description.TimeColumn, Values = _description.ValueColumns, Channels = Model.ChannelCount },
            _description.Columns,
            Model.Summary, new Dictionary<string, object?> { ["classes"] = _description.Classes, ["options"] = _description.Options },
            TrainingHistory,
            payload));
    }

    private protected override void Export(OperatorGraph graph, string features, Func<string, string> output) =>
        throw new NotSupportedException("a controlled differential equation on series of any length has no form as operators of ONNX here");

    private protected override ScorerColumns FindInputs(DataViewSchema input)
    {
        SeriesInput series = _columns.Find(Host, input);
        return new ScorerColumns(series.Values[0], Series: series);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
        PredictionColumns.Of(Model.Kind, _description.Columns, _keys, Model.OutputCount, input);

    private protected override void ThrowIfDisposed() => Model.ThrowIfDisposed();

    /// <summary>Reads a model from its payload; what is declared is checked before memory is taken for it.</summary>
    /// <exception cref="InvalidDataException">The payload is damaged or of a newer version.</exception>
    private static (NeuralCdeModel Model, CdeModelDescription Description) Read(byte[] bytes)
    {
        Payload<CdeModelDescription> payload = PayloadReader.Read<CdeModelDescription>(bytes);
        CdeModelDescription description = payload.Description;
        if (description.FindDefect() is { } defect)
            throw PayloadReader.Damaged(defect);
        if (description.Network.LeastWeightCount() > payload.Arrays.Sum(array => array.Values.LongLength))
            throw PayloadReader.Damaged("it declares more weights than it holds");
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        CdeNetwork network = Training.TorchSeed.Run(0, () => new CdeNetwork(description.Network));
        try
        {
            network.FromArrays(payload.Arrays);
            return (new NeuralCdeModel(network, Enum.Parse<OutputKind>(description.Kind)), description);
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }
}
