using Microsoft.ML.NeuralOde.Dynamics;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Further dimensions for the state of an equation, behind those of the input: in more dimensions paths that would have to cross go past
/// each other, so that a network can learn what no flow of its input's dimension can, such as x ↦ −x on the line (E. Dupont, A. Doucet,
/// Y. W. Teh, Augmented Neural ODEs, 2019).
/// </summary>
/// <remarks>
/// The dimensions are added to the second one, features or channels: <c>[batch, features, …]</c> becomes
/// <c>[batch, features + dimensions, …]</c>. They begin at zero, or at a learned linear function of the input's features (of each
/// position's channels for images), with parameters <c>weight</c>, shape <c>[dimensions, features]</c>, and <c>bias</c>. For
/// <see cref="SecondOrderDynamics"/> and the like they are the velocities at the start.
/// </remarks>
public sealed class StateAugmentation : Module<Tensor, Tensor>
{
    private readonly long? _features;

    private StateAugmentation(long dimensions, long? features)
        : base(nameof(StateAugmentation))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dimensions);
        Dimensions = dimensions;
        _features = features;
        if (features is not { } inputs)
            return;
        double bound = 1 / Math.Sqrt(inputs);
        this.OwnUniform("weight", [dimensions, inputs], bound);
        this.OwnUniform("bias", [dimensions], bound);
    }

    /// <summary>How many dimensions are added.</summary>
    public long Dimensions { get; }

    /// <summary>Whether they begin at a learned function of the input instead of zero.</summary>
    public bool IsLearned => _features is not null;

    internal Parameter? Weight => IsLearned ? get_parameter("weight") : null;

    internal Parameter? Bias => IsLearned ? get_parameter("bias") : null;

    /// <summary>Dimensions that begin at zero.</summary>
    /// <param name="dimensions">How many.</param>
    /// <returns>The module, without parameters.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive.</exception>
    public static StateAugmentation Zeros(long dimensions) => new(dimensions, null);

    /// <summary>Dimensions that begin at a learned linear function of the input.</summary>
    /// <param name="features">Features, or channels, of the input.</param>
    /// <param name="dimensions">How many are added.</param>
    /// <returns>The module, with random parameters, uniform in ±1/√features.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public static StateAugmentation Linear(long features, long dimensions)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        return new StateAugmentation(dimensions, features);
    }

    /// <summary>The input with the further dimensions.</summary>
    /// <param name="input">Shape <c>[batch, features, …]</c>.</param>
    /// <returns>Shape <c>[batch, features + dimensions, …]</c>.</returns>
    /// <exception cref="ArgumentException">The input has no second dimension, or another number of features than was learned
    /// for.</exception>
    public override Tensor forward(Tensor input)
    {
        Inputs.RequireAlive(input, nameof(input), "The input");
        if (input.dim() < 2)
            throw new ArgumentException(
                $"The input has shape [{string.Join(", ", input.shape)}]; dimensions are added to the second of [batch, features, …].",
                nameof(input));
        using DisposeScope scope = NewDisposeScope();
        return cat([input, Initial(input)], 1).MoveToOuterDisposeScope();
    }

    private Tensor Initial(Tensor input)
    {
        if (_features is not { } features)
            return input.new_zeros([input.shape[0], Dimensions, .. input.shape[2..]]);
        if (input.shape[1] != features)
            throw new ArgumentException(
                $"The input has shape [{string.Join(", ", input.shape)}]; the learned dimensions are functions of {features} features, "
                + $"[batch, {features}, …].", nameof(input));
        Parameter weight = Weight!;
        Inputs.RequireAlive(weight, nameof(StateAugmentation), "A weight of the augmentation");
        Inputs.RequireLike(input, weight, nameof(input));
        return input.dim() == 2
            ? functional.linear(input, weight, Bias)
            : functional.linear(input.transpose(1, -1), weight, Bias).transpose(1, -1);
    }

    /// <summary>How many dimensions, and where they begin.</summary>
    /// <returns>For instance “5 dimensions at zero”.</returns>
    public override string ToString() => $"{Dimensions} dimensions {(IsLearned ? "by a linear layer" : "at zero")}";
}
