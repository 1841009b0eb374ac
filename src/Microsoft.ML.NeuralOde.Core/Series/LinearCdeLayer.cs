using Microsoft.ML.NeuralOde.Dynamics;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// A layer from sequences to sequences: a linear controlled equation driven by a few linear combinations P of its input, then a gate,
/// beside the input itself (B. Walker et al., Structured linear CDEs, 2025; selective state spaces as in A. Gu and T. Dao, Mamba, 2023).
/// </summary>
/// <remarks>
/// dz = (A₀ dt + Σ Aᵢ dPⁱ + Σ Gᵢ Pⁱ dt) z + b₀ dt + Σ bᵢ dPⁱ + Σ cᵢ Pⁱ dt. A₀ begins as decays and rotations of many speeds, from about the
/// unit of time to a hundredth of it. In a dissipative layer all matrices are antisymmetric, and <see cref="DecayingBlocks"/> decay beside
/// them; in another one nothing keeps them from making states grow.
/// </remarks>
internal sealed class LinearCdeLayer : Module
{
    private readonly int _block;
    private readonly long _controls;
    private readonly double _dropout;
    private readonly bool _usesTime;
    private readonly LayerNorm _before, _after;
    private readonly Linear _control, _initial, _gate;
    private readonly bool _isDissipative;
    private readonly DecayingBlocks? _decay;

    public LinearCdeLayer(long width, int block, long controls, bool usesTime, double dropout, bool isDissipative)
        : base(nameof(LinearCdeLayer))
    {
        (_block, _controls, _usesTime, _dropout, _isDissipative) = (block, controls, usesTime, dropout, isDissipative);
        _before = LayerNorm(width);
        _after = LayerNorm(width);
        _control = Linear(width, controls);
        _initial = Linear(width, width);
        _gate = Linear(width, 2 * width);
        long blocks = width / block;
        this.Own("matrices", () => Matrices(block, blocks));
        this.Own("inputs", () => Inputs(block, blocks));
        if (isDissipative && usesTime)
            _decay = new DecayingBlocks(width, block, () => Speeds(blocks));
        RegisterComponents();
    }

    /// <summary>How many features drive the equation.</summary>
    private long Features => _usesTime ? 1 + (2 * _controls) : _controls;

    /// <summary>The output, <c>[batch, knots, width]</c>.</summary>
    /// <param name="input">Shape <c>[batch, knots, width]</c>.</param>
    /// <param name="durations">The time between knots, <c>[batch, knots − 1, 1]</c>.</param>
    public Tensor Apply(Tensor input, Tensor durations)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor normal = _before.call(input);
        Tensor control = _control.call(normal);
        Tensor rise = control.diff(1, 1);
        if (_usesTime)
            rise = cat([durations, rise, Middle(control) * durations], 2);
        Tensor matrices = get_parameter("matrices")!, inputs = get_parameter("inputs")!;
        if (_isDissipative)
            matrices = (matrices - matrices.transpose(1, 2)).Over(2);
        if (_decay is not null)
            (rise, matrices, inputs) = (_decay.Drive(rise, normal, durations), _decay.Decay(matrices), DecayingBlocks.Inputs(inputs));
        Tensor weights = BlockCommutators.Extend(matrices, inputs, 1);
        Tensor states = BlockFlow.Run(_initial.call(normal.select(1, 0)), rise.transpose(0, 1), weights, _block, true).transpose(0, 1);
        Tensor gated = functional.glu(_gate.call(functional.gelu(_after.call(states))), -1);
        if (_dropout > 0)
            gated = functional.dropout(gated, _dropout, training);
        return input.Plus(gated).MoveToOuterDisposeScope();
    }

    /// <summary>The mean of values at both ends of each piece between knots.</summary>
    internal static Tensor Middle(Tensor atKnots)
    {
        long pieces = atKnots.size(1) - 1;
        return atKnots.narrow(1, 0, pieces).Plus(atKnots.narrow(1, 1, pieces)).Over(2);
    }

    /// <summary>1 / (memory in the unit of time) of each block, from half to fifty.</summary>
    private static Tensor Speeds(long blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        return Numbers.Range(blocks, ScalarType.Float32, CPU)
            .Plus(0.5).Over(blocks).Times(Math.Log(100)).exp().Times(0.5).MoveToOuterDisposeScope();
    }

    private Tensor Matrices(int block, long blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor others = ModuleParameters.Normal(Features, block, block, blocks).Times(0.3 / Math.Sqrt(block * _controls));
        if (!_usesTime)
            return others.MoveToOuterDisposeScope();
        // −λ on the diagonal and an antisymmetric rest of about the same size, which turns.
        Tensor speeds = Speeds(blocks);
        Tensor turning = ModuleParameters.Normal(block, block, blocks);
        turning = turning - turning.transpose(0, 1);
        Tensor unit = eye(block).unsqueeze(2);
        Tensor time = (turning - unit) * speeds;
        return cat([time.unsqueeze(0), others.narrow(0, 1, Features - 1)], 0).MoveToOuterDisposeScope();
    }

    private Tensor Inputs(int block, long blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor all = ModuleParameters.Normal(Features, block, blocks).Over(Math.Sqrt(_controls));
        if (!_usesTime)
            return all.MoveToOuterDisposeScope();
        // What comes in per time is as large as what decays in it.
        Tensor speeds = Speeds(blocks).reshape(1, 1, -1);
        return cat([zeros(1, block, blocks), all.narrow(0, 1, _controls), all.narrow(0, 1 + _controls, _controls) * speeds], 0)
            .MoveToOuterDisposeScope();
    }
}
