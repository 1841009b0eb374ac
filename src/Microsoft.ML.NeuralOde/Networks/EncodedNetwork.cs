using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Export;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Linear layers with ReLU between them, the ODE block, a linear head.</summary>
internal sealed class EncodedNetwork : NeuralOdeNetwork
{
    /// <summary>What the names of the right-hand side's weights begin with.</summary>
    public const string DynamicsPrefix = "ode.dynamics.";

    private readonly EncodedDescription _description;
    private readonly Linear[] _encoder;
    private readonly Linear _head;

    /// <summary>A network with random weights.</summary>
    public EncodedNetwork(EncodedDescription description)
        : base(description)
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        _description = description;
        int[] sizes = [description.FeatureCount, .. description.EncoderLayers];
        _encoder = new Linear[description.EncoderLayers.Length];
        for (int i = 0; i < _encoder.Length; i++)
        {
            _encoder[i] = Linear(sizes[i], sizes[i + 1]);
            if (i == 0 && description.SparseFeatures)
                SparseLayer.KeepByInput(_encoder[0]);
            register_module($"encoder{i}", _encoder[i]);
        }
        Block = new OdeBlock(
            description.CreateDynamics(), description.EndTime, description.ScoringOptions(), description.CreateAugmentation());
        register_module("ode", Block);
        _head = Linear(description.StateSize, description.OutputCount);
        register_module("head", _head);
        // torch's default device may be another one.
        if (parameters().Any(parameter => parameter.device_type != DeviceType.CPU))
            this.to(CPU);
        KeepState();
    }

    public override OdeBlock Block { get; }

    /// <summary>The layer behind the equation.</summary>
    public Linear Head => _head;

    public override RowNetwork? ToRowNetwork() => RowNetwork.TryCreate(
        Normalization.Mean, Normalization.Scale, _encoder, Block, Block.Options, _head, _description.SparseFeatures);

    public override Parameter? SlotWeight => _description.SparseFeatures ? _encoder[0].weight : null;

    protected override Tensor Encode(Tensor features) => Encode(features, layers: 0);

    protected override EncodedRows Encode(SparseBatch features, Tensor? scale, bool inPieces)
    {
        EncodedRows first = SparseLayer.Apply(_encoder[0], features, scale, inPieces);
        return first with { State = Encode(first.State, layers: 1) };
    }

    /// <summary>What the encoder makes of the result of its first layers.</summary>
    private Tensor Encode(Tensor x, int layers) =>
        LinearLayers.Apply(layers == 0 || layers == _encoder.Length ? x : x.relu(), _encoder.AsSpan(layers));

    protected override Tensor Decode(Tensor state) => _head.call(state);

    protected override IEnumerable<NeuralOdeLayerSummary> Layers()
    {
        int[] sizes = [_description.FeatureCount, .. _description.EncoderLayers];
        for (int i = 0; i < _encoder.Length; i++)
            yield return new NeuralOdeLayerSummary(
                $"encoder{i}", $"linear {sizes[i]} to {sizes[i + 1]}{(i < _encoder.Length - 1 ? ", ReLU" : "")}", Count(_encoder[i]));
        if (Block.Augmentation is { } augmentation)
            yield return new NeuralOdeLayerSummary("augmentation", $"{augmentation}", Count(augmentation));
        yield return new NeuralOdeLayerSummary("ode", $"dy/dt, {_description.Summarize(Block.Dynamics)}", Count(Block.Dynamics));
        yield return new NeuralOdeLayerSummary("head", $"linear {_description.StateSize} to {_description.OutputCount}", Count(_head));

        static long Count(Module module) => module.parameters().Sum(parameter => parameter.numel());
    }

    protected override string Write(OperatorGraph graph, string features, double? stepSize)
    {
        string x = features;
        for (int i = 0; i < _encoder.Length; i++)
        {
            x = Layer(_encoder[i], x);
            if (i < _encoder.Length - 1)
                x = graph.Add("Relu", [x]);
        }
        if (Block.Augmentation is { } augmentation)
            x = Lift(graph, augmentation, _head.weight!.shape[1] - augmentation.Dimensions, x);
        var rate = RateExport.Of(graph, Block.Dynamics, [_head.weight!.shape[1]]);
        return Layer(_head, OdeExport.Write(graph, rate, Block.EndTime, Block.Options, stepSize, x)[0]);

        string Layer(Linear layer, string from) => graph.Add(
            "Gemm", [from, GraphTensors.Write(graph, "weight", layer.weight!), GraphTensors.Write(graph, "bias", layer.bias!)], null,
            OperatorGraph.Attribute("transB", 1));
    }

    /// <summary>The state with its further dimensions, as one linear layer, whose first rows repeat the input.</summary>
    private static string Lift(OperatorGraph graph, StateAugmentation augmentation, long features, string x)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor further = augmentation.Weight?.detach().cpu() ?? zeros(augmentation.Dimensions, features);
        Tensor bias = augmentation.Bias?.detach().cpu() ?? zeros(augmentation.Dimensions);
        return graph.Add(
            "Gemm", [x, GraphTensors.Write(graph, "lift", cat([eye(features), further])),
                GraphTensors.Write(graph, "lift_bias", cat([zeros(features), bias]))],
            null, OperatorGraph.Attribute("transB", 1));
    }
}
