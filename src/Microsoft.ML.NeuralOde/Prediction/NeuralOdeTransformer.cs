using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>A fitted trainer of this library: adds what its network predicts to the columns of data.</summary>
public abstract class NeuralOdeTransformer
    : NeuralOdeTransformerBase<NeuralOdeModel>, ISingleFeaturePredictionTransformer<NeuralOdeModel>, ISingleFeaturePredictionTransformer
{
    private protected NeuralOdeTransformer(
        IHostEnvironment environment, string loaderSignature, NeuralOdeModel model, ModelDescription description)
        : base(environment, loaderSignature, model, description.FeatureColumn, description.FeatureDimensions, description.History)
    {
        Description = description;
    }

    internal ModelDescription Description { get; }

    private protected override IRowScorer Scorer => Model;

    private protected override (byte[] Payload, (string Entry, string Text) Metadata) Pack()
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Model.Borrow();
        byte[] payload = new Payload<ModelDescription>(Description, loan.Network.ToArrays()).ToBytes();
        return (payload, Description.ToMetadata(Model, payload));
    }

    private protected override void Export(OperatorGraph graph, string features, Func<string, string> output)
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Model.Borrow();
        PredictionExport.Write(graph, loan.Network, Model.Kind, Description.Columns, features, null, output);
    }

    private protected override ScorerColumns FindInputs(DataViewSchema input)
    {
        DataViewSchema.Column features = RowColumns.FindFeatures(Host, input, FeatureColumnName);
        if (((VectorDataViewType)features.Type).Size != Model.FeatureCount)
            throw Schemas.Mismatch(
                Host, nameof(input), "feature", FeatureColumnName, FeatureColumnType.ToString(), features.Type.ToString());
        if (Description.Network.ExpectedDimensions([.. ((VectorDataViewType)features.Type).Dimensions]) is { } expected)
            throw Schemas.Mismatch(Host, nameof(input), "feature", FeatureColumnName, expected, features.Type.ToString());
        return new ScorerColumns(features);
    }

    private protected override void ThrowIfDisposed() => Model.ThrowIfDisposed();

    /// <summary>Reads a model of one kind from ML.NET's file.</summary>
    private protected static (NeuralOdeModel Model, ModelDescription Description) Load(
        IHostEnvironment environment, ModelLoadContext context, string loaderSignature, OutputKind kind) =>
        ModelFile.Load(environment, context, loaderSignature, payload => Read(payload, kind, DynamicsCatalog.Of(environment)));

    /// <summary>Reads a model of one kind from its payload; what is declared is checked before memory is taken for it.</summary>
    /// <exception cref="InvalidDataException">The payload is damaged, of a newer version, or of another kind of model.</exception>
    /// <exception cref="InvalidOperationException">Its right-hand side is a module that is not known.</exception>
    internal static (NeuralOdeModel Model, ModelDescription Description) Read(byte[] bytes, OutputKind kind, DynamicsCatalog dynamics)
    {
        Payload<ModelDescription> payload = PayloadReader.Read<ModelDescription>(bytes);
        if (payload.Description.FindDefect(kind) is { } defect)
            throw PayloadReader.Damaged(defect);
        if (payload.Description.Network.WeightCount() > payload.Arrays.Sum(array => array.Values.LongLength))
            throw PayloadReader.Damaged("it declares more weights than it holds");
        ModelDescription description = payload.Description with { Network = payload.Description.Network.Resolve(dynamics) };
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        NeuralOdeNetwork network = Training.TorchSeed.Run(0, description.Network.Create);
        try
        {
            network.FromArrays(payload.Arrays);
            return (new NeuralOdeModel(network, kind), description);
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }
}
