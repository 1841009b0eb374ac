using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks whose right-hand side is <see cref="DenseDynamics"/>: the first kind, which files without a kind hold.</summary>
internal sealed record DenseDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, int[] DynamicsLayers, double EndTime, string Solver, double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize)
    : EncodedDescription(FeatureCount, OutputCount, EncoderLayers, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    public const string KindName = "dense";
    public const int KindVersion = 1;

    public override string Kind => KindName;

    public override int Version => KindVersion;

    public override Module CreateDynamics() => new DenseDynamics(StateSize, [.. DynamicsLayers.Select(size => (long)size)]);

    public override string Summarize(Module dynamics) =>
        $"layers {string.Join(", ", [StateSize, .. DynamicsLayers, StateSize])}, "
        + $"{((DenseDynamics)dynamics).Activation.ToString().ToLowerInvariant()}";

    public override long WeightCount()
    {
        long others = base.WeightCount(), dynamics = CountLayers([StateSize, .. DynamicsLayers, StateSize]);
        // Beside them the weights of time.
        return others > long.MaxValue - StateSize || dynamics > long.MaxValue - StateSize - others ? long.MaxValue : others + dynamics + StateSize;
    }

    public override string? FindDefect() =>
        Array.TrueForAll(DynamicsLayers, size => size > 0) ? base.FindDefect() : "a size of its network is not positive";

    public override string? DifferenceOfStructure(NetworkDescription other) => base.DifferenceOfStructure(other)
        ?? (other is DenseDescription dense ? Difference(nameof(DynamicsLayers), DynamicsLayers, dense.DynamicsLayers) : null);
}
