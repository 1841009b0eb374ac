using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A convolutional right-hand side for images: normalise, activate, convolve, twice, and normalise (R. T. Q. Chen, Y. Rubanova, J.
/// Bettencourt, D. Duvenaud, Neural Ordinary Differential Equations, 2018). States have shape <c>[batch, channels, height, width]</c>.
/// </summary>
/// <remarks>
/// Convolutions are 3×3 and keep the size of the image; normalisation is group normalisation. Time as one more input channel of a
/// convolution adds t times an image that depends on the weights alone: the convolution itself stays as narrow as without time.
/// Parameters: <c>norm_weight0</c> … <c>norm_bias2</c>, <c>weight0</c>, <c>bias0</c>, <c>weight1</c>, <c>bias1</c>, and, where time enters,
/// <c>time_weight0</c>, <c>time_weight1</c> or <c>time_weight</c>.
/// On the CPU, in float32 and float64, they are evaluated and differentiated by kernels of their own wherever no graph is recorded, with
/// convolutions by minimal filtering (A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016); results equal those of
/// torch within rounding. Their normalisations begin with weights 1 and biases 0; those of a new <c>nn.GroupNorm</c> of TorchSharp are
/// uninitialised memory, see docs/gradients.md.
/// </remarks>
public sealed class ConvolutionalDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics, IClosedDynamics
{
    internal const double Epsilon = 1e-5;

    private const int Convolutions = 2;
    private const long KernelSize = 3;

    private readonly EvaluatorPool<ConvolutionalEvaluator> _evaluators = new();
    private readonly Parameter[] _normWeights = new Parameter[Convolutions + 1];
    private readonly Parameter[] _normBiases = new Parameter[Convolutions + 1];
    private readonly Parameter[] _weights = new Parameter[Convolutions];
    private readonly Parameter[] _biases = new Parameter[Convolutions];
    private readonly Parameter[] _timeWeights;

    /// <summary>Creates dynamics with random convolutions, uniform in ±1/√inputs, and normalisations that begin without effect.</summary>
    /// <param name="channels">Channels of the state.</param>
    /// <param name="groups">
    /// Groups of the normalisation, a divisor of <paramref name="channels"/>; null for the largest one up to 32 that leaves at least two
    /// channels in each. A channel that is normalised by itself has mean 0 over its image at the end, so that a head which takes means over
    /// images learns nothing from the dynamics. The groups are not part of a saved state: weights of dynamics that had a channel a group,
    /// as was the default for 2 to 32 channels once, need them given here.
    /// </param>
    /// <param name="activation">The non-linearity before each convolution.</param>
    /// <param name="time">How time enters: as one more channel of each convolution, as a learned vector (one number a channel) times t, or
    /// not.</param>
    /// <param name="convolutionType">
    /// The type convolutions are computed in; null for that of the state. <see cref="ScalarType.BFloat16"/> makes a convolution faster on
    /// processors with instructions for it, at relative errors of about 0.004, which cost an adaptive solve more steps: measure before
    /// choosing it, and take tolerances no tighter than 1e-3.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense.</exception>
    public ConvolutionalDynamics(
        long channels, long? groups = null, Activation activation = Activation.Relu, TimeDependence time = TimeDependence.Concatenate,
        ScalarType? convolutionType = null)
        : base(nameof(ConvolutionalDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        if (groups is { } given && (given <= 0 || channels % given != 0))
            throw new ArgumentOutOfRangeException(nameof(groups), groups, $"The groups must divide the {channels} channels.");
        if (!Enum.IsDefined(activation))
            throw new ArgumentOutOfRangeException(nameof(activation), activation, "There is no such activation.");
        if (time is not (TimeDependence.None or TimeDependence.Add or TimeDependence.Concatenate))
            throw new ArgumentOutOfRangeException(
                nameof(time), time, "Convolutional dynamics know the time dependences None, Add and Concatenate.");
        Channels = channels;
        Groups = groups ?? DefaultGroups(channels);
        Activation = activation;
        Time = time;
        if (convolutionType is { } type and not (ScalarType.BFloat16 or ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentOutOfRangeException(nameof(convolutionType), type, "Convolutions need a floating-point type.");
        ConvolutionType = convolutionType;

        double bound = 1 / Math.Sqrt((channels + (time == TimeDependence.Concatenate ? 1 : 0)) * KernelSize * KernelSize);
        _timeWeights = new Parameter[time switch { TimeDependence.Concatenate => Convolutions, TimeDependence.Add => 1, _ => 0 }];
        for (int i = 0; i <= Convolutions; i++)
        {
            _normWeights[i] = this.Own($"norm_weight{i}", () => ones(channels));
            _normBiases[i] = this.Own($"norm_bias{i}", () => zeros(channels));
            if (i == Convolutions)
                break;
            _weights[i] = this.OwnUniform($"weight{i}", [channels, channels, KernelSize, KernelSize], bound);
            _biases[i] = this.OwnUniform($"bias{i}", [channels], bound);
            if (time == TimeDependence.Concatenate)
                _timeWeights[i] = this.OwnUniform($"time_weight{i}", [channels, 1, KernelSize, KernelSize], bound);
        }
        if (time == TimeDependence.Add)
            _timeWeights[0] = this.OwnUniform("time_weight", [channels], 1);
    }

    /// <summary>Channels of the state.</summary>
    public long Channels { get; }

    /// <summary>Groups of channels that are normalised together.</summary>
    public long Groups { get; }

    /// <summary>The non-linearity before each convolution.</summary>
    public Activation Activation { get; }

    /// <summary>How time enters.</summary>
    public TimeDependence Time { get; }

    /// <summary>The type convolutions are computed in; null for that of the state.</summary>
    public ScalarType? ConvolutionType { get; }

    /// <summary>The channels and groups, the activation and how time enters.</summary>
    /// <returns>For instance “ConvolutionalDynamics(64 channels, 32 groups; Relu; time Concatenate)”.</returns>
    public override string ToString() =>
        $"{nameof(ConvolutionalDynamics)}({Channels} channels, {Groups} groups; {Activation}; "
        + $"time {Time}{(ConvolutionType is { } type ? $"; convolutions in {type}" : "")})";

    /// <summary>The largest number of groups up to 32 that leaves at least two channels in each.</summary>
    internal static long DefaultGroups(long channels) => LargestGroups(channels, 2);

    /// <summary>The largest number of groups up to 32 that leaves so many channels, or all, in each.</summary>
    internal static long LargestGroups(long channels, long fewest) =>
        Enumerable.Range(1, 32).Last(count => channels % count == 0 && (count == 1 || channels / count >= fewest));

    internal IReadOnlyList<Parameter> NormWeights => _normWeights;

    internal IReadOnlyList<Parameter> NormBiases => _normBiases;

    internal IReadOnlyList<Parameter> Weights => _weights;

    internal IReadOnlyList<Parameter> Biases => _biases;

    internal IReadOnlyList<Parameter> TimeWeights => _timeWeights;

    /// <summary>dy/dt.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1, 1, 1]</c>.</param>
    /// <param name="y">The state, shape <c>[batch, channels, height, width]</c>.</param>
    /// <returns>dy/dt, in the shape of y.</returns>
    /// <exception cref="ArgumentException">The state's shape, type or device does not fit the dynamics.</exception>
    public override Tensor forward(Tensor t, Tensor y)
    {
        Inputs.RequireAlive(_weights[0], nameof(ConvolutionalDynamics), "A weight of the dynamics");
        Inputs.RequireAlive(t, nameof(t), "The time");
        Inputs.RequireAlive(y, nameof(y), "The state");
        if (y.dim() != 4 || y.size(1) != Channels)
            throw new ArgumentException(
                $"The state has shape [{string.Join(", ", y.shape)}]; these dynamics need [batch, {Channels}, height, width].", nameof(y));
        Inputs.RequireLike(y, _weights[0], nameof(y));
        if (t.dim() > 0 && (t.dtype != y.dtype || (t.numel() != 1 && (t.dim() != 4 || t.numel() != y.size(0)))))
            throw new ArgumentException(
                $"The time has shape [{string.Join(", ", t.shape)}] and type {t.dtype}; it must be a scalar, or one number a row, "
                + $"[batch, 1, 1, 1], in the state's type {y.dtype}.", nameof(t));
        using DisposeScope scope = NewDisposeScope();
        Tensor x = y;
        for (int i = 0; i < Convolutions; i++)
            x = Convolve(i, Activation.Value(Normalize(i, x)), t);
        x = Normalize(Convolutions, x);
        if (Time == TimeDependence.Add)
            x = x.Plus(t * _timeWeights[0].reshape(1, Channels, 1, 1));
        return x.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        Inputs.RequireAlive(state, nameof(state), "The state");
        Inputs.RequireAlive(_weights[0], nameof(ConvolutionalDynamics), "A weight of the dynamics");
        if (state.dim() != 4 || state.shape[1] != Channels || state.numel() == 0 || !HasKernelsFor(state) || IsLeftToTorch(state.shape))
            return null;
        ConvolutionalEvaluator? evaluator = _evaluators.Take();
        if (evaluator is null || !evaluator.Fits(state))
        {
            int height = (int)state.shape[2], width = (int)state.shape[3];
            evaluator = state.dtype == ScalarType.Float32
                ? new ConvolutionalEvaluator<float>(this, height, width)
                : new ConvolutionalEvaluator<double>(this, height, width);
        }
        evaluator.Refresh();
        return evaluator;
    }

    /// <summary>Keeps an evaluator, with its memory, for the next solve.</summary>
    internal void Return(ConvolutionalEvaluator evaluator) => _evaluators.Return(evaluator);

    private bool HasKernelsFor(Tensor state) =>
        StateKernels.Supports(state) && (ConvolutionType is null || ConvolutionType == state.dtype)
            && parameters().All(parameter => Fits(parameter, state));

    /// <summary>
    /// A single channel of larger images leaves most of each register unused, which measurement does not forgive; beyond the other bounds
    /// the transforms take more memory than they are worth.
    /// </summary>
    private bool IsLeftToTorch(long[] shape)
    {
        const int Registers = 16, SmallImage = 256, MostChannels = 512, MostPositions = 1 << 16;
        long positions = shape[2] * shape[3];
        return (Channels == 1 && positions >= SmallImage) || Channels > MostChannels || positions > MostPositions
            || shape[0] * positions * (Channels + Registers) > int.MaxValue;
    }

    private static bool Fits(Parameter parameter, Tensor state) =>
        parameter.device_type == DeviceType.CPU && parameter.dtype == state.dtype && parameter.is_contiguous();

    /// <summary>Another type or device makes other parameters of the same names.</summary>
    protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking)
    {
        base._toEpilog(dtype, device, non_blocking);
        _evaluators.Clear();
        for (int i = 0; i <= Convolutions; i++)
        {
            _normWeights[i] = get_parameter($"norm_weight{i}")!;
            _normBiases[i] = get_parameter($"norm_bias{i}")!;
        }
        for (int i = 0; i < Convolutions; i++)
        {
            _weights[i] = get_parameter($"weight{i}")!;
            _biases[i] = get_parameter($"bias{i}")!;
        }
        for (int i = 0; i < _timeWeights.Length; i++)
            _timeWeights[i] = get_parameter(Time == TimeDependence.Add ? "time_weight" : $"time_weight{i}")!;
    }

    private Tensor Normalize(int i, Tensor x) => functional.group_norm(x, Groups, _normWeights[i], _normBiases[i], Epsilon);

    private Tensor Convolve(int i, Tensor x, Tensor t)
    {
        bool hasChannel = Time == TimeDependence.Concatenate;
        Tensor result;
        if (ConvolutionType is { } type)
        {
            result = functional.conv2d(x.to(type), _weights[i].to(type), padding: [1, 1]).to(x.dtype);
            if (!hasChannel)
                return result.Add(_biases[i].reshape(1, Channels, 1, 1));
        }
        else
        {
            result = functional.conv2d(x, _weights[i], hasChannel ? null : _biases[i], padding: [1, 1]);
            if (!hasChannel)
                return result;
        }
        // A channel that is t everywhere: t times what a channel of ones gives, which differs at the borders only.
        Tensor channel = ones([1, 1, x.shape[2], x.shape[3]], x.dtype, x.device);
        Tensor image = functional.conv2d(channel, _timeWeights[i], padding: [1, 1]);
        return result.Add((t * image).Plus(_biases[i].reshape(1, Channels, 1, 1)));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _evaluators.Close();
        base.Dispose(disposing);
    }
}
