using System.Text.Json.Serialization;
using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks of linear layers in front of the equation and one behind it, whatever its right-hand side is.</summary>
internal abstract record EncodedDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, double EndTime, string Solver, double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize)
    : NetworkDescription(FeatureCount, OutputCount, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    /// <summary>The size of the equation's state.</summary>
    protected int StateSize => EncoderLayers.Length > 0 ? EncoderLayers[^1] : FeatureCount;

    [JsonIgnore]
    public override bool TakesSparse => EncoderLayers.Length > 0;

    public override NeuralOdeNetwork Create() => new EncodedNetwork(this);

    /// <summary>The right-hand side with random weights, f(t, y) for y of shape <c>[batch, state]</c>.</summary>
    public abstract Module CreateDynamics();

    /// <summary>The right-hand side in words.</summary>
    public abstract string Summarize(Module dynamics);

    public override long WeightCount() => CountLayers([FeatureCount, .. EncoderLayers], [StateSize, OutputCount]);

    public override string? FindDefect() =>
        Array.TrueForAll(EncoderLayers, size => size > 0) ? base.FindDefect() : "a size of its network is not positive";

    public override string? DifferenceOfStructure(NetworkDescription other) => base.DifferenceOfStructure(other)
        ?? (other is EncodedDescription encoded ? Difference(nameof(EncoderLayers), EncoderLayers, encoded.EncoderLayers) : null);

    /// <summary>The weights of linear layers with biases, of which each list names the sizes.</summary>
    protected static long CountLayers(params ReadOnlySpan<int[]> layers)
    {
        try
        {
            long count = 0;
            foreach (int[] sizes in layers)
                for (int i = 1; i < sizes.Length; i++)
                    count = checked(count + ((long)sizes[i - 1] + 1) * sizes[i]);
            return count;
        }
        catch (OverflowException)
        {
            return long.MaxValue;
        }
    }

    protected static string? Difference(string name, int[] sizes, int[] others) =>
        sizes.AsSpan().SequenceEqual(others) ? null : $"{name} [{string.Join(", ", sizes)}] and [{string.Join(", ", others)}]";
}
