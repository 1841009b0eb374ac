using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>A fitted flow: adds what it says of each row to the columns of data.</summary>
public abstract class ContinuousFlowTransformer : NeuralOdeTransformerBase<ContinuousFlowModel>
{
    private protected ContinuousFlowTransformer(
        IHostEnvironment environment, string loaderSignature, ContinuousFlowModel model, FlowColumns columns,
        IReadOnlyList<NeuralOdeEpochReport> history)
        : base(environment, loaderSignature, model, columns.Features, columns.FeatureDimensions, history)
    {
        InputColumns = columns;
    }

    /// <summary>The column of the condition; null for none.</summary>
    public string? ConditionColumnName => InputColumns.Condition;

    private protected FlowColumns InputColumns { get; }

    /// <summary>What becomes of the scores, for the file.</summary>
    private protected abstract object Output { get; }

    private protected override (byte[] Payload, (string Entry, string Text) Metadata) Pack()
    {
        byte[] payload = ToBytes();
        return (payload, ModelMetadata.Write(Signature, InputColumns, Output, Model.Description, null, TrainingHistory, payload));
    }

    private protected override void Export(OperatorGraph graph, string features, Func<string, string> output)
    {
        using SharedNetwork<FlowNetwork>.Loan loan = Model.Borrow();
        Export(graph, loan.Network, features, output);
    }

    private protected override ScorerColumns FindInputs(DataViewSchema input)
    {
        (DataViewSchema.Column features, DataViewSchema.Column? condition) = InputColumns.Find(Host, input, Model.ConditionCount);
        return new ScorerColumns(features, condition);
    }

    private protected override void ThrowIfDisposed() => Model.ThrowIfDisposed();

    /// <summary>Writes the columns that are added as operators.</summary>
    private protected abstract void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output);

    private protected abstract byte[] ToBytes();

    private protected byte[] ToBytes<TOutput>(TOutput output)
    {
        using SharedNetwork<FlowNetwork>.Loan loan = Model.Borrow();
        var file = new FlowFile<TOutput>(Model.Description, InputColumns, TrainingHistory, output);
        return new Payload<FlowFile<TOutput>>(file, loan.Network.ToArrays()).ToBytes();
    }

    /// <summary>Reads a model from ML.NET's file.</summary>
    /// <param name="environment">Where it is loaded.</param>
    /// <param name="context">The file.</param>
    /// <param name="loaderSignature">The kind of model.</param>
    /// <param name="findDefect">What makes no sense in the output that was read, as a clause; null for nothing.</param>
    private protected static (ContinuousFlowModel Model, FlowFile<TOutput> File) Load<TOutput>(
        IHostEnvironment environment, ModelLoadContext context, string loaderSignature, Func<TOutput, string?> findDefect) =>
        ModelFile.Load(environment, context, loaderSignature, bytes => Read(bytes, findDefect));

    private static (ContinuousFlowModel Model, FlowFile<TOutput> File) Read<TOutput>(byte[] bytes, Func<TOutput, string?> findDefect)
    {
        Payload<FlowFile<TOutput>> payload = PayloadReader.Read<FlowFile<TOutput>>(bytes);
        string? defect = payload.Description.Network.FindDefect(payload.Arrays.Sum(array => array.Values.LongLength))
            ?? findDefect(payload.Description.Output);
        if (defect is not null)
            throw PayloadReader.Damaged(defect);
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        FlowNetwork network = Training.TorchSeed.Run(0, () => new FlowNetwork(payload.Description.Network));
        try
        {
            network.FromArrays(payload.Arrays);
            return (new ContinuousFlowModel(network), payload.Description);
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }
}
