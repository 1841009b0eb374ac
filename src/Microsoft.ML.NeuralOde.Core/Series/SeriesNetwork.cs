using Microsoft.ML.NeuralOde.Series;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A network from series to numbers: a path through the observations, controlled equations driven by it, and a linear layer behind the
/// mean, the maximum and the last of the states at the observations.
/// </summary>
/// <remarks>
/// Of <see cref="SeriesModel.Linear"/> there are several layers with gates between them; see <see cref="SeriesNetworkOptions.Layers"/>.
/// Values should be standardised, and times scaled so that a series takes about 1. A row's numbers do not depend on the other rows of the
/// batch.
/// </remarks>
public sealed class SeriesNetwork : Module<SeriesBatch, Tensor>
{
    private readonly Linear? _embedding;
    private readonly LinearCdeLayer[] _layers = [];
    private readonly ControlledEquation? _equation;
    private readonly LayerNorm _normalization;
    private readonly Linear _head;

    /// <summary>Creates a network with random parameters.</summary>
    /// <param name="channels">The number of channels of the series, without time and counts.</param>
    /// <param name="outputs">The number of outputs.</param>
    /// <param name="options">Its shape; null for the defaults.</param>
    /// <exception cref="ArgumentException">A number or option makes no sense; the message says which and what would.</exception>
    public SeriesNetwork(long channels, long outputs, SeriesNetworkOptions? options = null)
        : base(nameof(SeriesNetwork))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        Options = options ?? new SeriesNetworkOptions();
        Options.Validate();
        (Channels, Outputs) = (channels, outputs);
        long all = (Options.Time ? 1 : 0) + (Options.Counts ? 2 * channels : channels);
        long width = Options.Width;
        if (Options.Model == SeriesModel.Linear)
        {
            _embedding = Linear(all, width);
            register_module("embedding", _embedding);
            _layers = new LinearCdeLayer[Options.Layers];
            for (int i = 0; i < _layers.Length; i++)
            {
                _layers[i] = new LinearCdeLayer(
                    width, Options.BlockSize, Math.Min(width, Controls), Options.Time, Options.Dropout, Options.Dissipative);
                register_module($"layer{i}", _layers[i]);
            }
        }
        else
        {
            _equation = Options.Model == SeriesModel.LogNeural
                ? new LogNeuralCde(all, width, Options.Window, Options.Depth, Options.Hidden, options: Options.Solver)
                : new NeuralCde(all, width, Options.Hidden, options: Options.Solver);
            register_module("equation", _equation);
        }
        _normalization = LayerNorm(width);
        _head = Linear(3 * width, outputs);
        register_module("normalization", _normalization);
        register_module("head", _head);
    }

    /// <summary>How many combinations of a layer's input drive its equation.</summary>
    private const long Controls = 16;

    /// <summary>The number of channels of the series.</summary>
    public long Channels { get; }

    /// <summary>The number of outputs.</summary>
    public long Outputs { get; }

    /// <summary>Its shape.</summary>
    public SeriesNetworkOptions Options { get; }

    /// <summary>The outputs for whole series.</summary>
    /// <param name="series">The series.</param>
    /// <returns>Shape <c>[batch, outputs]</c>.</returns>
    /// <exception cref="ArgumentException">The series have another number of channels, or another type or device than the
    /// parameters.</exception>
    public override Tensor forward(SeriesBatch series)
    {
        Check(series);
        using DisposeScope scope = NewDisposeScope();
        using ControlPath path = ControlPath.Create(series, Options.Path, Options.Time, Options.Counts);
        Tensor states = _normalization.call(States(path));
        Tensor last = Last(series, path).unsqueeze(1);
        Tensor isPresent = Numbers.Range(states.size(1), ScalarType.Int64, states.device).le(last).to(states.dtype);
        Tensor mean = (states * (isPresent / last.Shift(1).to(states.dtype)).unsqueeze(2)).sum(1);
        // Behind a row's end its last state stands.
        Tensor most = states.amax([1L]);
        Tensor end = states.gather(1, last.unsqueeze(2).expand(series.Rows, 1, states.size(2))).squeeze(1);
        return _head.call(cat([mean, most, end], 1)).MoveToOuterDisposeScope();
    }

    /// <summary>The outputs for the series up to each observation: what the network says as they unfold.</summary>
    /// <param name="series">The series.</param>
    /// <returns>Shape <c>[batch, length, outputs]</c>; behind a row's end numbers of no meaning.</returns>
    /// <remarks>
    /// Later observations play no part where the path is causal, see <see cref="PathInterpolation"/>.
    /// </remarks>
    /// <exception cref="ArgumentException">The series do not fit.</exception>
    /// <exception cref="InvalidOperationException">The network takes several observations at once
    /// (<see cref="SeriesNetworkOptions.Window"/>).</exception>
    public Tensor AtObservations(SeriesBatch series)
    {
        Check(series);
        if (Options.Window > 1)
            throw new InvalidOperationException(
                $"This network takes {Options.Window} observations at once, and says nothing in between; make one with a window of 1.");
        using DisposeScope scope = NewDisposeScope();
        using ControlPath path = ControlPath.Create(series, Options.Path, Options.Time, Options.Counts);
        Tensor states = _normalization.call(States(path));
        Tensor counts = Numbers.Range(states.size(1), states.dtype, states.device).Plus(1).reshape(1, -1, 1);
        return _head.call(cat([states.cumsum(1) / counts, states.cummax(1).values, states], 2)).MoveToOuterDisposeScope();
    }

    /// <summary>The states at the observations, or behind windows, <c>[batch, n, width]</c>.</summary>
    private Tensor States(ControlPath path)
    {
        if (_equation is not null)
            return Options.Window > 1 ? _equation.StatesAtWindows(path) : _equation.StatesAtObservations(path);
        Tensor states = _embedding!.call(path.Values);
        Tensor durations = path.Knots.diff(1, 1).to(states.dtype).unsqueeze(2);
        foreach (LinearCdeLayer layer in _layers)
            states = layer.Apply(states, durations);
        return path.KnotsPerObservation == 1 ? states : states.slice(1, 0, states.size(1), path.KnotsPerObservation);
    }

    /// <summary>The place of each row's last state.</summary>
    private Tensor Last(SeriesBatch series, ControlPath path)
    {
        if (Options.Window == 1)
            return series.LengthTensor.Shift(-1);
        long[] windows =
            [.. series.Lengths.Select(length => (((length - 1) * path.KnotsPerObservation) + Options.Window - 1) / Options.Window)];
        return tensor(windows, ScalarType.Int64, series.Values.device);
    }

    private void Check(SeriesBatch series)
    {
        ArgumentNullException.ThrowIfNull(series);
        Inputs.RequireAlive(series.Values, nameof(series), "The batch of series");
        Parameter weight = _head.weight!;
        Inputs.RequireAlive(weight, nameof(SeriesNetwork), "A parameter of the network");
        if (series.Channels != Channels)
            throw new ArgumentException(
                $"The series have {series.Channels} channels; this network was made for {Channels}.", nameof(series));
        Inputs.RequireLike(series.Values, weight, nameof(series));
    }
}
