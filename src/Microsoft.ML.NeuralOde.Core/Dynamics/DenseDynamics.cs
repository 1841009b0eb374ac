using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fully connected network as a right-hand side: f(t, y) for y of shape <c>[batch, features]</c>, linear layers with an activation
/// between them.
/// </summary>
/// <remarks>
/// Parameters: <c>weight0</c>, <c>bias0</c>, …, one pair a layer, and, where time enters, <c>time_weight</c> (added to the result) or
/// <c>time_weight0</c>, … (added in every layer, which is what a concatenated time amounts to) and <c>gate_weight0</c>, <c>gate_bias0</c>,
/// …; with a conditioning vector <c>condition_weight</c> (the vector is further input of the first layer).
/// On the CPU, in float32 and float64, small networks without gates and conditions are evaluated and differentiated by fused kernels
/// wherever no graph is recorded.
/// </remarks>
public sealed class DenseDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics, IConditionalDynamics, IClosedDynamics
{
    private readonly EvaluatorPool<DenseEvaluator> _evaluators = new();
    private readonly EvaluatorPool<DensePathEvaluator> _pathEvaluators = new();

    private const int FourierFrequencies = 4;
    private const int FourierFeatures = 1 + 2 * FourierFrequencies;

    private readonly Parameter[] _weights;
    private readonly Parameter[] _biases;
    private readonly Parameter[] _timeWeights;
    private readonly Parameter[] _gateWeights;
    private readonly Parameter[] _gateBiases;
    private Parameter? _conditionWeight;
    private DenseNetwork? _network;

    /// <summary>Creates dynamics with random parameters, uniform in ±1/√inputs of each layer.</summary>
    /// <param name="features">Size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers; null for one of the state's size; empty for linear dynamics.</param>
    /// <param name="activation">The non-linearity after each hidden layer.</param>
    /// <param name="time">How time enters.</param>
    /// <param name="conditions">Size of a conditioning vector; 0 for none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    public DenseDynamics(
        long features, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Tanh,
        TimeDependence time = TimeDependence.Add,
        long conditions = 0)
        : this(features, features, hidden ?? [features], activation, time, conditions)
    {
    }

    /// <summary>
    /// A network whose result is no derivative of its input but a part of one, such as the accelerations at positions and velocities.
    /// </summary>
    internal DenseDynamics(
        long features, long outputs, IReadOnlyList<long> hidden, Activation activation, TimeDependence time, long conditions = 0)
        : base(nameof(DenseDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        foreach (long size in hidden)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, nameof(hidden));
        if (!Enum.IsDefined(activation))
            throw new ArgumentOutOfRangeException(nameof(activation), activation, "There is no such activation.");
        if (!Enum.IsDefined(time))
            throw new ArgumentOutOfRangeException(nameof(time), time, "There is no such time dependence.");
        ArgumentOutOfRangeException.ThrowIfNegative(conditions);
        Features = features;
        Outputs = outputs;
        Conditions = conditions;
        Hidden = [.. hidden];
        Activation = activation;
        Time = time;

        long[] sizes = [features, .. hidden, outputs];
        int layers = sizes.Length - 1;
        _weights = new Parameter[layers];
        _biases = new Parameter[layers];
        bool timeInLayers = time is TimeDependence.Concatenate or TimeDependence.ConcatSquash or TimeDependence.Fourier;
        bool gates = time is TimeDependence.Gate or TimeDependence.ConcatSquash;
        _timeWeights = new Parameter[time == TimeDependence.Add ? 1 : timeInLayers ? layers : 0];
        _gateWeights = new Parameter[gates ? layers : 0];
        _gateBiases = new Parameter[gates ? layers : 0];
        for (int i = 0; i < layers; i++)
        {
            long extra = (time == TimeDependence.Concatenate ? 1 : 0) + (i == 0 ? conditions : 0);
            double bound = 1 / Math.Sqrt(sizes[i] + extra);
            _weights[i] = this.OwnUniform($"weight{i}", [sizes[i + 1], sizes[i]], bound);
            _biases[i] = this.OwnUniform($"bias{i}", [sizes[i + 1]], bound);
            if (time == TimeDependence.Fourier)
                _timeWeights[i] = this.OwnUniform($"time_weight{i}", [sizes[i + 1], FourierFeatures], 1 / Math.Sqrt(FourierFeatures));
            else if (timeInLayers)
                _timeWeights[i] = this.OwnUniform($"time_weight{i}", [sizes[i + 1]], time == TimeDependence.Concatenate ? bound : 1);
            if (gates)
            {
                _gateWeights[i] = this.OwnUniform($"gate_weight{i}", [sizes[i + 1]], 1);
                _gateBiases[i] = this.OwnUniform($"gate_bias{i}", [sizes[i + 1]], 1);
            }
            if (i == 0 && conditions > 0)
                _conditionWeight = this.OwnUniform("condition_weight", [sizes[1], conditions], bound);
        }
        if (time == TimeDependence.Add)
            _timeWeights[0] = this.OwnUniform("time_weight", [outputs], 1);
    }

    /// <summary>Size of the state.</summary>
    public long Features { get; }

    /// <summary>Size of the result: <see cref="Features"/>, but in networks that are parts of other dynamics.</summary>
    internal long Outputs { get; }

    /// <summary>Sizes of the hidden layers.</summary>
    public IReadOnlyList<long> Hidden { get; }

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation { get; }

    /// <summary>How time enters.</summary>
    public TimeDependence Time { get; }

    /// <summary>Size of the conditioning vector; 0 for none.</summary>
    public long Conditions { get; }

    /// <summary>The layers' sizes, the activation and what else enters.</summary>
    /// <returns>For instance “DenseDynamics(2, 16, 2; Tanh; time Add)”.</returns>
    public override string ToString() =>
        $"{nameof(DenseDynamics)}({string.Join(", ", [Features, .. Hidden, Outputs])}; {Activation}; "
        + $"time {Time}{(Conditions > 0 ? $"; {Conditions} conditions" : "")})";

    /// <summary>Number of linear layers.</summary>
    internal int Layers => _weights.Length;

    internal IReadOnlyList<Parameter> Weights => _weights;

    internal IReadOnlyList<Parameter> Biases => _biases;

    /// <summary>dy/dt.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1]</c>.</param>
    /// <param name="y">The state, shape <c>[batch, features]</c>.</param>
    /// <returns>dy/dt, shape <c>[batch, features]</c>.</returns>
    /// <exception cref="InvalidOperationException">The dynamics need a condition.</exception>
    /// <exception cref="ArgumentException">The state's width, type or device is not that of the dynamics.</exception>
    public override Tensor forward(Tensor t, Tensor y)
    {
        if (Conditions > 0)
            throw new InvalidOperationException(
                $"These dynamics depend on a condition of {Conditions} features; call Evaluate(t, y, condition).");
        return EvaluateProjected(t, y, null);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The condition has the wrong shape.</exception>
    public Tensor Evaluate(Tensor t, Tensor y, Tensor condition)
    {
        using Tensor projected = Project(condition);
        return EvaluateProjected(t, y, projected);
    }

    /// <summary>dy/dt, given what <see cref="Project"/> made of the condition.</summary>
    internal Tensor EvaluateProjected(Tensor t, Tensor y, Tensor? projected)
    {
        CheckState(t, y);
        using DisposeScope scope = NewDisposeScope();
        Tensor x = y;
        for (int i = 0; i < Layers; i++)
        {
            (Tensor? gate, Tensor shift) = Modulation(i, t, projected);
            x = ModulatedLayer.Apply(x, _weights[i], gate, shift);
            if (i < Layers - 1)
                x = Activation.Value(x);
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        Inputs.RequireAlive(state, nameof(state), "The state");
        Inputs.RequireAlive(_weights[0], nameof(DenseDynamics), "A weight of the dynamics");
        if (_gateWeights.Length > 0 || state.dim() != 2 || state.shape[1] != Features || !HasKernelsFor(state))
            return null;
        return Network().CreateEvaluator(state);
    }

    private void CheckState(Tensor t, Tensor y)
    {
        Inputs.RequireAlive(_weights[0], nameof(DenseDynamics), "A weight of the dynamics");
        Inputs.RequireAlive(t, nameof(t), "The time");
        Inputs.RequireAlive(y, nameof(y), "The state");
        if (y.dim() == 0 || y.size(-1) != Features)
            throw new ArgumentException(
                $"The state has shape [{string.Join(", ", y.shape)}]; these dynamics need [batch, {Features}].", nameof(y));
        Inputs.RequireLike(y, _weights[0], nameof(y));
        if (t.dim() > 0 && (t.dtype != y.dtype || t.numel() > Math.Max(1, y.numel() / Features) || t.size(-1) != 1))
            throw new ArgumentException(
                $"The time has shape [{string.Join(", ", t.shape)}] and type {t.dtype}; it must be a scalar, or one number a row, "
                + $"[batch, 1], in the state's type {y.dtype}.", nameof(t));
    }

    /// <summary>What time adds to layer <paramref name="layer"/>; null for nothing.</summary>
    internal Parameter? TimeWeight(int layer) => Time switch
    {
        TimeDependence.Add => layer == _weights.Length - 1 ? _timeWeights[0] : null,
        TimeDependence.Concatenate or TimeDependence.ConcatSquash => _timeWeights[layer],
        _ => null,
    };

    /// <summary>
    /// Prepares evaluations together with the trace estimated by probes, shape <c>[probes, batch, features]</c>; null where torch does
    /// better.
    /// </summary>
    internal DensePathEvaluator? CreatePathEvaluator(Tensor packed, Tensor probes, double probeWeight)
    {
        if (!HasKernelsFor(packed) || !DenseKernels<float>.HasCurvature(Activation))
            return null;
        DensePathEvaluator? evaluator = _pathEvaluators.Take();
        if (evaluator is null || evaluator.Type != packed.dtype)
            evaluator = packed.dtype == ScalarType.Float32 ? new DensePathEvaluator<float>(this) : new DensePathEvaluator<double>(this);
        evaluator.Refresh(probes, probeWeight);
        return evaluator;
    }

    internal void Return(DensePathEvaluator evaluator) => _pathEvaluators.Return(evaluator);

    /// <summary>σ(t g + c) of a layer is the gate; null where there is none.</summary>
    internal (Parameter Weight, Parameter Bias)? Gate(int layer) =>
        _gateWeights.Length > 0 ? (_gateWeights[layer], _gateBiases[layer]) : null;

    private bool HasKernelsFor(Tensor state) =>
        Conditions == 0 && Time != TimeDependence.Fourier && StateKernels.Supports(state)
        && Array.TrueForAll(_weights, DenseNetwork.IsSmall)
        && Array.TrueForAll(
            [.. _weights, .. _biases, .. _timeWeights, .. _gateWeights, .. _gateBiases], parameter => DenseNetwork.Fits(parameter, state));

    /// <summary>The layers without gates and conditions, as the kernels take them.</summary>
    private DenseNetwork Network() => _network ??= new DenseNetwork(
        [.. DenseSlots.Of(this).Select((slots, i) => new DenseParameters(_weights[i], _biases[i], TimeWeight(i), null, slots))],
        [.. Enumerable.Repeat(Nonlinearities.Of(Activation), Layers - 1)], _evaluators);

    /// <summary>What a condition adds to the first layer, shape <c>[batch, width]</c>: the same at all times.</summary>
    internal Tensor Project(Tensor condition)
    {
        Inputs.RequireAlive(condition, nameof(condition), "The condition");
        if (_conditionWeight is null)
            throw new ArgumentException("These dynamics take no condition; call forward(t, y).", nameof(condition));
        if (condition.dim() != 2 || condition.shape[1] != Conditions)
            throw new ArgumentException(
                $"The condition has shape [{string.Join(", ", condition.shape)}]; it must be [batch, {Conditions}].", nameof(condition));
        Inputs.RequireLike(condition, _conditionWeight, nameof(condition));
        return functional.linear(condition, _conditionWeight);
    }

    /// <summary>The weight of the conditioning vector; null where there is none.</summary>
    internal Parameter? ConditionWeight => _conditionWeight;

    /// <summary>Multiplies all weight matrices by a factor, and the first layer, biases included, by another.</summary>
    internal void Scale(double weights, double input)
    {
        using IDisposable noGrad = no_grad();
        foreach (Parameter weight in _weights)
            weight.Multiply(weights);
        _weights[0].Multiply(input);
        _biases[0].Multiply(weights * input);
        _conditionWeight?.Multiply(weights * input);
    }

    /// <summary>
    /// What time and condition make of a layer: x ↦ (x Wᵀ) ⊙ gate + shift. Shapes <c>[width]</c>, or <c>[batch, width]</c> where rows
    /// differ.
    /// </summary>
    internal (Tensor? Gate, Tensor Shift) Modulation(int layer, Tensor t, Tensor? projected)
    {
        Tensor shift = layer == 0 && projected is not null ? projected.Plus(_biases[0]) : _biases[layer];
        Tensor? gate = null;
        if (_gateWeights.Length > 0)
        {
            gate = (t * _gateWeights[layer]).Plus(_gateBiases[layer]).sigmoid();
            shift = shift * gate;
        }
        if (Time == TimeDependence.Fourier)
            return (gate, shift.Plus(functional.linear(FourierOf(t), _timeWeights[layer])));
        Parameter? timeWeight = TimeWeight(layer);
        return (gate, timeWeight is null ? shift : shift.Plus(t * timeWeight));
    }

    /// <summary>
    /// t and its sines and cosines: of shape <c>[numbers]</c> for a scalar, <c>[batch, numbers]</c> for one number a row.
    /// </summary>
    private static Tensor FourierOf(Tensor t)
    {
        Tensor column = t.dim() == 0 ? t.reshape(1) : t;
        Tensor angles = column * Numbers.Range(FourierFrequencies, column.dtype, column.device).Plus(1).Times(Math.PI);
        return cat([column, angles.sin(), angles.cos()], -1);
    }

    /// <summary>A change of type or device makes new parameters.</summary>
    protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking)
    {
        base._toEpilog(dtype, device, non_blocking);
        _network = null;
        _evaluators.Clear();
        _pathEvaluators.Clear();
        foreach ((string prefix, Parameter[] parameters) in
            (ReadOnlySpan<(string, Parameter[])>)[("weight", _weights), ("bias", _biases), ("gate_weight", _gateWeights),
                ("gate_bias", _gateBiases)])
            for (int i = 0; i < parameters.Length; i++)
                parameters[i] = get_parameter($"{prefix}{i}")!;
        for (int i = 0; i < _timeWeights.Length; i++)
            _timeWeights[i] = get_parameter(Time == TimeDependence.Add ? "time_weight" : $"time_weight{i}")!;
        _conditionWeight = Conditions > 0 ? get_parameter("condition_weight") : null;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _evaluators.Close();
            _pathEvaluators.Close();
        }
        base.Dispose(disposing);
    }
}
