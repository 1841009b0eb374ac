using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A network from series to numbers: a path through the observations, controlled equations driven by it, the states averaged over the
/// observations beside the last, and a linear layer.
/// </summary>
/// <remarks>A row's numbers do not depend on the other rows of the batch.</remarks>
public sealed class SeriesNetwork : Module<SeriesBatch, Tensor>
{
    private readonly ControlledEquation _equation;
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
        (Channels, Outputs) = (channels, outputs);
        long all = (Options.Time ? 1 : 0) + (Options.Counts ? 2 * channels : channels);
        _equation = Options.Model == SeriesModel.Linear
            ? new LinearCde(all, Options.Width, Options.BlockSize, Options.Depth, Options.Window)
            : Options.Model == SeriesModel.LogNeural
            ? new LogNeuralCde(all, Options.Width, Options.Window, Options.Depth, Options.Hidden, options: Options.Solver)
            : new NeuralCde(all, Options.Width, Options.Hidden, options: Options.Solver);
        _head = Linear(2 * Options.Width, outputs);
        register_module("equation", _equation);
        register_module("head", _head);
    }

    /// <summary>The number of channels of the series.</summary>
    public long Channels { get; }

    /// <summary>The number of outputs.</summary>
    public long Outputs { get; }

    /// <summary>Its shape.</summary>
    public SeriesNetworkOptions Options { get; }

    /// <summary>The outputs for whole series.</summary>
    /// <param name="series">The series.</param>
    /// <returns>Shape <c>[batch, outputs]</c>.</returns>
    /// <exception cref="ArgumentException">The series have another number of channels, or another type or device than the parameters.</exception>
    public override Tensor forward(SeriesBatch series)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor all = AtObservations(series);
        Tensor last = series.LengthTensor.Shift(-1).reshape(-1, 1, 1).expand(all.size(0), 1, all.size(2));
        return all.gather(1, last).squeeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>The outputs for the series up to each observation: what the network says as they unfold.</summary>
    /// <param name="series">The series.</param>
    /// <returns>Shape <c>[batch, length, outputs]</c>; behind a row's end its last outputs.</returns>
    /// <remarks>
    /// Later observations play no part where the path is causal, see <see cref="PathInterpolation"/>.
    /// </remarks>
    /// <exception cref="ArgumentException">The series do not fit.</exception>
    public Tensor AtObservations(SeriesBatch series)
    {
        ArgumentNullException.ThrowIfNull(series);
        using DisposeScope scope = NewDisposeScope();
        using ControlPath path = ControlPath.Create(series, Options.Path, Options.Time, Options.Counts);
        Tensor states = _equation.StatesAtObservations(path);
        Tensor counts = Numbers.Range(series.Longest, states.dtype, states.device).Plus(1).reshape(1, -1, 1);
        Tensor means = states.cumsum(1) / counts;
        return _head.call(cat([means, states], 2)).MoveToOuterDisposeScope();
    }
}
