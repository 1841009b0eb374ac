using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>γ = bound · σ(ω), as a number and as a derivative.</summary>
internal sealed class LearnedDamping(Parameter raw, double bound)
{
    private readonly double _sigmoid = 1 / (1 + Math.Exp(-raw.ToDouble()));

    public double Value => bound * _sigmoid;

    /// <summary>dγ/dω.</summary>
    public double Slope => bound * _sigmoid * (1 - _sigmoid);
}

/// <summary>
/// What dynamics of positions and velocities, the halves of a state, have in common: z′ = v, v′ = −γ v + a, where a network computes a of
/// the whole state or of the positions alone.
/// </summary>
internal sealed class HalvesMap(Module owner, DenseDynamics network, string name, long positions, bool takesVelocities)
{
    private readonly Lazy<int[]> _slots = new(() => Slots(owner, network, name));

    public long Positions => positions;

    public bool TakesVelocities => takesVelocities;

    /// <summary>The places of the network's parameters among those of the module.</summary>
    public int[] NetworkSlots => _slots.Value;

    /// <summary>The place of the damping; null where there is none.</summary>
    public int? DampingSlot { get; } = new ParameterSlots(owner).Find("damping");

    public string Describe(string type) =>
        $"{type}({positions} positions; layers {string.Join(", ", [network.Features, .. network.Hidden, network.Outputs])}; "
        + $"{network.Activation}; time {network.Time})";

    /// <exception cref="ArgumentException">The state is not one of positions and velocities.</exception>
    public void Check(Tensor y)
    {
        Inputs.RequireAlive(y, nameof(y), "The state");
        if (y.dim() == 0 || y.size(-1) != 2 * positions)
            throw new ArgumentException(
                $"The state has shape [{string.Join(", ", y.shape)}]; these dynamics need [batch, {2 * positions}]: {positions} positions, "
                + "then as many velocities.", nameof(y));
    }

    /// <summary>An evaluator by the network's own; null where it has none for such states.</summary>
    public DynamicsEvaluator? CreateEvaluator(Tensor state, LearnedDamping? damping)
    {
        Inputs.RequireAlive(state, nameof(state), "The state");
        if (state.dim() != 2 || state.shape[1] != 2 * positions)
            return null;
        using DisposeScope scope = NewDisposeScope();
        Tensor input = takesVelocities ? state : state.narrow(1, 0, positions).contiguous();
        return network.CreateEvaluator(input) is { } evaluator ? new HalvesEvaluator(this, evaluator, damping) : null;
    }

    private static int[] Slots(Module owner, Module network, string name)
    {
        var slots = new ParameterSlots(owner);
        return [.. network.named_parameters().Select(parameter => slots[$"{name}.{parameter.name}"])];
    }
}

/// <summary>Evaluates z′ = v, v′ = −γ v + a by the evaluator of a.</summary>
internal sealed class HalvesEvaluator(HalvesMap map, DynamicsEvaluator network, LearnedDamping? damping) : DynamicsEvaluator
{
    private readonly long _positions = map.Positions;

    public HalvesMap Map => map;

    public LearnedDamping? Damping => damping;

    public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (Tensor input, Tensor acceleration) = Prepare(state);
        network.Evaluate(times, input, acceleration);
        Write(state, acceleration, derivative);
    }

    public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (Tensor input, Tensor acceleration) = Prepare(state);
        DynamicsLinearization linearization = network.Linearize(times, input, acceleration);
        Write(state, acceleration, derivative);
        Tensor? velocities = damping is null ? null : Second(state).clone().DetachFromDisposeScope();
        return new HalvesLinearization(this, linearization, velocities);
    }

    public Tensor First(Tensor state) => state.narrow(1, 0, _positions);

    public Tensor Second(Tensor state) => state.narrow(1, _positions, _positions);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            network.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>What the network is given, and where it is to write; in the current scope.</summary>
    private (Tensor Input, Tensor Acceleration) Prepare(Tensor state) =>
        (map.TakesVelocities ? state : First(state).contiguous(), state.new_empty([state.shape[0], _positions]));

    private void Write(Tensor state, Tensor acceleration, Tensor derivative)
    {
        Tensor velocities = Second(state);
        if (damping is not null)
            acceleration.Add(velocities.Times(-damping.Value));
        First(derivative).copy_(velocities);
        Second(derivative).copy_(acceleration);
    }
}

/// <summary>The derivatives of z′ = v, v′ = −γ v + a at one point.</summary>
internal sealed class HalvesLinearization(HalvesEvaluator evaluator, DynamicsLinearization network, Tensor? velocities)
    : DynamicsLinearization
{
    private double _damping;

    public override long? MemoryBytes => network.MemoryBytes + (velocities is null ? 0 : velocities.numel() * velocities.element_size());

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor ofPositions = evaluator.First(cotangent), ofVelocities = evaluator.Second(cotangent).contiguous();
        if (evaluator.Map.TakesVelocities)
        {
            network.Pull(ofVelocities, state, times);
            evaluator.Second(state).Add(ofPositions);
        }
        else
        {
            Tensor positions = empty_like(ofVelocities);
            network.Pull(ofVelocities, positions, times);
            evaluator.First(state).copy_(positions);
            evaluator.Second(state).copy_(ofPositions);
        }
        if (evaluator.Damping is not { } damping || velocities is null)
            return;
        evaluator.Second(state).Add(ofVelocities.Times(-damping.Value));
        _damping = -damping.Slope * (ofVelocities * velocities).sum().ToDouble();
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        network.AddParameterGradients(weight, [.. evaluator.Map.NetworkSlots.Select(slot => gradients[slot])]);
        if (evaluator.Map.DampingSlot is { } slot && gradients[slot] is { } damping)
        {
            using IDisposable noGrad = no_grad();
            using DisposeScope scope = NewDisposeScope();
            damping.Add(zeros_like(damping).Plus(weight * _damping));
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            network.Dispose();
            velocities?.Dispose();
        }
        base.Dispose(disposing);
    }
}
