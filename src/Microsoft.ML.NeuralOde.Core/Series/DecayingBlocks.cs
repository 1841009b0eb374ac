using Microsoft.ML.NeuralOde.Dynamics;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// What makes the state of a linear controlled equation decay: −diag(λ) dt − Σⱼ diag(μⱼ) softplus(qⱼ) dt with positive λ and μ, and a few
/// linear functions q of the input, by which the layer chooses what to forget (as in A. Gu and T. Dao, Mamba, 2023).
/// </summary>
/// <remarks>
/// Beside antisymmetric matrices, whose flows turn the state and leave its length as it is (H. Lou, S. Li, H. Ni, Path development network
/// with finite-dimensional Lie group representation, 2022), nothing makes a state grow but what comes in: however long and rough a series
/// is, there is no overflow.
/// </remarks>
internal sealed class DecayingBlocks : Module
{
    /// <summary>How many functions of the input steer the decay.</summary>
    private const int Steered = 4;

    private readonly int _block;
    private readonly Linear _steer;

    /// <param name="width">The size of the input and of the state.</param>
    /// <param name="block">The size of a block.</param>
    /// <param name="speeds">λ of each block at the beginning, <c>[blocks]</c>.</param>
    public DecayingBlocks(long width, int block, Func<Tensor> speeds)
        : base(nameof(DecayingBlocks))
    {
        _block = block;
        _steer = Linear(width, Steered);
        long blocks = width / block;
        this.Own("rates", () => Rates(block, blocks, speeds));
        this.Own("steered_rates", () => SteeredRates(block, blocks));
        RegisterComponents();
    }

    /// <summary>The increments of what drives the equation, with those that steer the decay.</summary>
    /// <param name="rise">The increments, <c>[batch, pieces, features]</c>, of time first.</param>
    /// <param name="input">The input at the knots, <c>[batch, knots, width]</c>.</param>
    /// <param name="durations">The time between knots, <c>[batch, pieces, 1]</c>.</param>
    public Tensor Drive(Tensor rise, Tensor input, Tensor durations) =>
        cat([rise, LinearCdeLayer.Middle(functional.softplus(_steer.call(input))) * durations], 2);

    /// <summary>The matrices of what drives the equation, with the decay.</summary>
    /// <param name="matrices">Antisymmetric ones, <c>[features, block, block, blocks]</c>, of time first.</param>
    public Tensor Decay(Tensor matrices)
    {
        Tensor steered = Diagonal("steered_rates");
        return cat([matrices.narrow(0, 0, 1) - Diagonal("rates"), matrices.narrow(0, 1, matrices.size(0) - 1), steered.neg()], 0);
    }

    /// <summary>The inputs of what drives the equation, none of which comes in with the decay.</summary>
    /// <param name="inputs">Shape <c>[features, block, blocks]</c>.</param>
    public static Tensor Inputs(Tensor inputs) => cat([inputs, inputs.new_zeros(Steered, inputs.size(1), inputs.size(2))], 0);

    /// <summary>Positive numbers on the diagonals of blocks, <c>[features, block, block, blocks]</c>.</summary>
    private Tensor Diagonal(string name)
    {
        Tensor rates = get_parameter(name)!.exp();
        return eye(_block, dtype: rates.dtype, device: rates.device).reshape(1, _block, _block, 1) * rates.unsqueeze(1);
    }

    private static Tensor Rates(int block, long blocks, Func<Tensor> speeds)
    {
        using DisposeScope scope = NewDisposeScope();
        return speeds().log().reshape(1, 1, blocks).expand(1, block, blocks).contiguous().MoveToOuterDisposeScope();
    }

    private static Tensor SteeredRates(int block, long blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        return ModuleParameters.Normal(Steered, block, blocks).Over(2).Plus(Math.Log(0.5)).MoveToOuterDisposeScope();
    }
}
