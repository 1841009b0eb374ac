using System.Text.Json.Serialization;
using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks of linear layers in front of the equation and one behind it, whatever its right-hand side is.</summary>
internal abstract record EncodedDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, double EndTime, string Solver, double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize)
    : NetworkDescription(FeatureCount, OutputCount, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    /// <summary>Dimensions of the state beyond the encoder's result and velocities; 0 in files that do not have it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int AugmentedDimensions { get; init; }

    /// <summary>Whether they, and velocities, begin at a learned function of the encoder's result instead of zero.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool LearnsAugmentation { get; init; }

    /// <summary>The size of the equation's state.</summary>
    [JsonIgnore]
    public int StateSize => (EncodedSize + AugmentedDimensions) * (HasVelocities ? 2 : 1);

    /// <summary>Whether the state has a velocity beside each of its other numbers.</summary>
    [JsonIgnore]
    public virtual bool HasVelocities => false;

    /// <summary>The size of the encoder's result.</summary>
    protected int EncodedSize => EncoderLayers.Length > 0 ? EncoderLayers[^1] : FeatureCount;

    /// <summary>Whether an older version, which does not know of it, would read the description as another network's.</summary>
    protected bool IsAugmented => AugmentedDimensions > 0 || LearnsAugmentation;

    [JsonIgnore]
    public override bool TakesSparse => EncoderLayers.Length > 0;

    [JsonIgnore]
    public override IReadOnlyList<Citation> Citations =>
        AugmentedDimensions > 0 ? [.. base.Citations, Publications.Augmented] : base.Citations;

    public override NeuralOdeNetwork Create() => new EncodedNetwork(this);

    /// <summary>The right-hand side with random weights, f(t, y) for y of shape <c>[batch, state]</c>.</summary>
    public abstract Module CreateDynamics();

    /// <summary>The dimensions of the state beyond the encoder's result; null for none.</summary>
    public StateAugmentation? CreateAugmentation()
    {
        int dimensions = StateSize - EncodedSize;
        if (dimensions == 0)
            return null;
        return LearnsAugmentation ? StateAugmentation.Linear(EncodedSize, dimensions) : StateAugmentation.Zeros(dimensions);
    }

    /// <summary>The right-hand side in words.</summary>
    public abstract string Summarize(Module dynamics);

    public override long WeightCount() => CountLayers(
        [FeatureCount, .. EncoderLayers], LearnsAugmentation ? [EncodedSize, StateSize - EncodedSize] : [], [StateSize, OutputCount]);

    public override string? FindDefect()
    {
        if (!Array.TrueForAll(EncoderLayers, size => size > 0))
            return "a size of its network is not positive";
        if (AugmentedDimensions < 0 || 2L * ((long)EncodedSize + AugmentedDimensions) > int.MaxValue)
            return $"it has {AugmentedDimensions} augmented dimensions";
        return base.FindDefect();
    }

    public override string? DifferenceOfStructure(NetworkDescription other) => base.DifferenceOfStructure(other)
        ?? (other is EncodedDescription encoded ? DifferenceOfState(encoded) : null);

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

    private string? DifferenceOfState(EncodedDescription other)
    {
        if (AugmentedDimensions != other.AugmentedDimensions)
            return $"{AugmentedDimensions} and {other.AugmentedDimensions} augmented dimensions";
        return LearnsAugmentation != other.LearnsAugmentation
            ? "augmented dimensions that are learned and such that are zero"
            : Difference(nameof(EncoderLayers), EncoderLayers, other.EncoderLayers);
    }

    protected static string? Difference(string name, int[] sizes, int[] others) =>
        sizes.AsSpan().SequenceEqual(others) ? null : $"{name} [{string.Join(", ", sizes)}] and [{string.Join(", ", others)}]";
}
