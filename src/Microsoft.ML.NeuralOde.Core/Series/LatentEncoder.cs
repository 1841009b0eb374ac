using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>From observations to the distribution of the latent state at the anchor.</summary>
internal sealed class LatentEncoder : Module<RecognitionInput, Tensor?, (Tensor Mean, Tensor LogScale)>
{
    private readonly GRU? _whole;
    private readonly GRUCell? _cell;
    private readonly DenseDynamics? _between;
    private readonly CouplingFlow? _flow;
    private readonly DenseDynamics _head;
    private readonly long _hidden, _latent;

    public LatentEncoder(LatentOdeOptions options)
        : base(nameof(LatentEncoder))
    {
        long inputs = 2 * options.Channels + 1 + Oscillators.ClockSize + options.Covariates, hidden = options.HiddenSize;
        (_hidden, _latent) = (hidden, options.LatentSize);
        if (options.Recognition == LatentRecognition.ReversedGru)
            register_module("cell", _whole = GRU(inputs, hidden, batchFirst: true));
        else
        {
            register_module("cell", _cell = GRUCell(inputs, hidden));
            if (options.Evolution == LatentEvolution.Flow)
                register_module("between", _flow = new CouplingFlow(hidden, hidden, 0));
            else
                register_module("between", _between = new DenseDynamics(hidden, [hidden], time: TimeDependence.None));
        }
        register_module("head", _head = new DenseDynamics(
            hidden, (options.Variational ? 2 : 1) * _latent, [hidden], Activation.Tanh, TimeDependence.None, options.StaticCovariates));
    }

    /// <summary>Mean and log standard deviation of the latent state, <c>[batch, latent]</c> each; the second is empty where there is
    /// none.</summary>
    public override (Tensor Mean, Tensor LogScale) forward(RecognitionInput input, Tensor? statics)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor state = _whole is null ? Stepwise(input) : AtOnce(_whole, input);
        Tensor made = statics is null ? _head.call(Never(state), state) : _head.Evaluate(Never(state), state, statics);
        return (made.narrow(1, 0, _latent).MoveToOuterDisposeScope(),
            made.narrow(1, _latent, made.size(1) - _latent).MoveToOuterDisposeScope());
    }

    private static Tensor AtOnce(GRU cell, RecognitionInput input)
    {
        Tensor states = cell.call(input.Features).Item1;
        Tensor last = input.Lengths.Shift(-1).reshape(-1, 1, 1).expand(states.size(0), 1, states.size(2));
        return states.gather(1, last).squeeze(1);
    }

    private Tensor Stepwise(RecognitionInput input)
    {
        long steps = input.Features.size(1);
        Tensor first = input.Features.select(1, 0);
        Tensor state = _cell!.call(first, zeros([first.size(0), _hidden], first.dtype, first.device));
        for (long k = 1; k < steps; k++)
        {
            Tensor next = _cell.call(input.Features.select(1, k), Between(state, input.Gaps.select(1, k)));
            state = input.IsFull ? next : where(input.Present.narrow(1, k, 1), next, state);
        }
        return state;
    }

    /// <summary>The state behind a gap: one step of the midpoint rule, or the flow.</summary>
    private Tensor Between(Tensor state, Tensor gap)
    {
        if (_flow is not null)
            return _flow.call(state, gap, null);
        Tensor middle = state.Plus(_between!.call(Never(state), state) * gap.Times(0.5));
        return state.Plus(_between.call(Never(state), middle) * gap);
    }

    /// <summary>The time, which plays no part.</summary>
    private static Tensor Never(Tensor state) => zeros([], state.dtype, state.device);
}
