using System.Collections.Concurrent;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fully connected network as a right-hand side: f(t, y) for y of shape <c>[batch, features]</c>, linear layers with an activation between them.
/// </summary>
/// <remarks>
/// Parameters: <c>weight0</c>, <c>bias0</c>, …, one pair a layer, and, where time enters, <c>time_weight</c> (added to the result) or
/// <c>time_weight0</c>, … (added in every layer, which is what a concatenated time amounts to).
/// On the CPU, in float32 and float64, small networks are evaluated and differentiated by fused kernels wherever no graph is recorded.
/// </remarks>
public sealed class DenseDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics
{
    private readonly ConcurrentBag<DenseEvaluator> _evaluators = [];
    /// <summary>Beyond this size of a weight matrix libtorch's product is faster than ours (measured).</summary>
    private const long LargestFusedMatrix = 512 * 512;

    private readonly Parameter[] _weights;
    private readonly Parameter[] _biases;
    private readonly Parameter[] _timeWeights;

    /// <summary>Creates dynamics with random parameters, uniform in ±1/√inputs of each layer.</summary>
    /// <param name="features">Size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers; null for one of the state's size; empty for linear dynamics.</param>
    /// <param name="activation">The non-linearity after each hidden layer.</param>
    /// <param name="time">How time enters.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    public DenseDynamics(
        long features, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Tanh, TimeDependence time = TimeDependence.Add)
        : base(nameof(DenseDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        hidden ??= [features];
        foreach (long size in hidden)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, nameof(hidden));
        if (!Enum.IsDefined(activation))
            throw new ArgumentOutOfRangeException(nameof(activation), activation, "There is no such activation.");
        if (!Enum.IsDefined(time))
            throw new ArgumentOutOfRangeException(nameof(time), time, "There is no such time dependence.");
        Features = features;
        Hidden = [.. hidden];
        Activation = activation;
        Time = time;

        long[] sizes = [features, .. hidden, features];
        int layers = sizes.Length - 1;
        _weights = new Parameter[layers];
        _biases = new Parameter[layers];
        _timeWeights = new Parameter[time switch { TimeDependence.None => 0, TimeDependence.Add => 1, _ => layers }];
        for (int i = 0; i < layers; i++)
        {
            double bound = 1 / Math.Sqrt(sizes[i] + (time == TimeDependence.Concatenate ? 1 : 0));
            _weights[i] = this.OwnUniform($"weight{i}", [sizes[i + 1], sizes[i]], bound);
            _biases[i] = this.OwnUniform($"bias{i}", [sizes[i + 1]], bound);
            if (time == TimeDependence.Concatenate)
                _timeWeights[i] = this.OwnUniform($"time_weight{i}", [sizes[i + 1]], bound);
        }
        if (time == TimeDependence.Add)
            _timeWeights[0] = this.OwnUniform("time_weight", [features], 1);
    }

    /// <summary>Size of the state.</summary>
    public long Features { get; }

    /// <summary>Sizes of the hidden layers.</summary>
    public IReadOnlyList<long> Hidden { get; }

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation { get; }

    /// <summary>How time enters.</summary>
    public TimeDependence Time { get; }

    internal IReadOnlyList<Parameter> Weights => _weights;

    internal IReadOnlyList<Parameter> Biases => _biases;

    /// <summary>dy/dt.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1]</c>.</param>
    /// <param name="y">The state, shape <c>[batch, features]</c>.</param>
    /// <returns>dy/dt, shape <c>[batch, features]</c>.</returns>
    public override Tensor forward(Tensor t, Tensor y)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = y;
        int last = _weights.Length - 1;
        for (int i = 0; i <= last; i++)
        {
            x = Layer(x, t, _weights[i], _biases[i], TimeWeight(i));
            if (i < last)
                x = Activation.Apply(x);
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (!StateKernels.Supports(state) || state.dim() != 2 || state.shape[1] != Features || !IsSmall || !Array.TrueForAll(_weights, weight => Fits(weight, state)))
            return null;
        if (!_evaluators.TryTake(out DenseEvaluator? evaluator) || evaluator.Type != state.dtype)
            evaluator = state.dtype == ScalarType.Float32 ? new DenseEvaluator<float>(this) : new DenseEvaluator<double>(this);
        evaluator.Refresh();
        return evaluator;
    }

    /// <summary>What time adds to layer <paramref name="layer"/>; null for nothing.</summary>
    internal Parameter? TimeWeight(int layer) => Time switch
    {
        TimeDependence.Add => layer == _weights.Length - 1 ? _timeWeights[0] : null,
        TimeDependence.Concatenate => _timeWeights[layer],
        _ => null,
    };

    /// <summary>Keeps an evaluator, with its memory, for the next solve.</summary>
    internal void Return(DenseEvaluator evaluator)
    {
        if (_evaluators.Count < Environment.ProcessorCount)
            _evaluators.Add(evaluator);
    }

    /// <summary>Another type or device makes other parameters of the same names.</summary>
    protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking)
    {
        base._toEpilog(dtype, device, non_blocking);
        _evaluators.Clear();
        for (int i = 0; i < _weights.Length; i++)
        {
            _weights[i] = get_parameter($"weight{i}")!;
            _biases[i] = get_parameter($"bias{i}")!;
        }
        for (int i = 0; i < _timeWeights.Length; i++)
            _timeWeights[i] = get_parameter(Time == TimeDependence.Add ? "time_weight" : $"time_weight{i}")!;
    }

    /// <summary>Whether every matrix is so small that the fused kernels are faster than libtorch.</summary>
    private bool IsSmall => Array.TrueForAll(_weights, weight => weight.numel() <= LargestFusedMatrix);

    private static bool Fits(Parameter weight, Tensor state) => weight.device_type == DeviceType.CPU && weight.dtype == state.dtype && weight.is_contiguous();

    private static Tensor Layer(Tensor x, Tensor t, Parameter weight, Parameter bias, Parameter? timeWeight)
    {
        if (timeWeight is null)
            return functional.linear(x, weight, bias);
        // One time for all rows only moves the bias: a vector operation instead of one over the batch.
        return t.dim() == 0 ? functional.linear(x, weight, bias + t * timeWeight) : functional.linear(x, weight, bias) + t * timeWeight;
    }
}
