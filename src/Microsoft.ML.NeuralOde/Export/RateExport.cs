using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>Writes the right-hand side of an equation as ONNX operators.</summary>
internal abstract class RateExport
{
    public const string Batch = "batch";

    /// <summary>The shape of each part of the state: numbers, and names where the size is not fixed.</summary>
    public abstract IReadOnlyList<string[]> Shapes { get; }

    /// <summary>Whether the equation depends on time.</summary>
    public abstract bool UsesTime { get; }

    /// <summary>Why methods that update positions and velocities in turn do not solve the equation; null where they do.</summary>
    public virtual string? WhyNotLeapfrog => null;

    /// <summary>The rate of each part of the state.</summary>
    /// <param name="graph">Where the operators go; the weights stand in its outermost graph already.</param>
    /// <param name="state">The parts of the state.</param>
    /// <param name="time">Time, a scalar; null where the equation does not depend on it.</param>
    public abstract string[] Evaluate(OperatorGraph graph, string[] state, string? time);

    /// <summary>The export that suits a right-hand side.</summary>
    /// <param name="graph">The outermost graph.</param>
    /// <param name="dynamics">f(t, y).</param>
    /// <param name="stateShape">The shape of y, without the batch.</param>
    /// <exception cref="NotSupportedException">There is none; the message says why.</exception>
    /// <exception cref="ArgumentException">The shape is not that of these dynamics.</exception>
    public static RateExport Of(OperatorGraph graph, Module dynamics, IReadOnlyList<long> stateShape) => dynamics switch
    {
        DenseDynamics dense => stateShape is [var features] && features == dense.Features
            ? new DenseRateExport(graph, dense, withTrace: false)
            : throw Wrong(stateShape, $"[{dense.Features}]"),
        SecondOrderDynamics second => stateShape is [var size] && size == 2 * second.Positions ? HalvesRateExport.Of(graph, second)
            : throw Wrong(stateShape, $"[{2 * second.Positions}]"),
        HeavyBallDynamics ball => stateShape is [var size] && size == 2 * ball.Positions ? HalvesRateExport.Of(graph, ball)
            : throw Wrong(stateShape, $"[{2 * ball.Positions}]"),
        HamiltonianDynamics energy => stateShape is [var size] && size == 2 * energy.Positions ? new HamiltonianRateExport(graph, energy)
            : throw Wrong(stateShape, $"[{2 * energy.Positions}]"),
        ConvolutionalDynamics images => stateShape is [var channels, > 0, > 0] && channels == images.Channels
            ? new ConvolutionalRateExport(graph, images, stateShape[1], stateShape[2])
            : throw Wrong(stateShape, $"[{images.Channels}, height, width]"),
        _ => throw Unknown(dynamics),
    };

    /// <summary>The export of a right-hand side together with the trace of its derivative.</summary>
    /// <exception cref="NotSupportedException">There is none; the message says why.</exception>
    public static RateExport WithTrace(OperatorGraph graph, Module dynamics) =>
        dynamics is DenseDynamics dense ? new DenseRateExport(graph, dense, withTrace: true)
        : throw new NotSupportedException(
            $"The log-density needs the trace of the right-hand side's derivative, which is exported for {nameof(DenseDynamics)} only; "
            + $"this is {dynamics.GetType().Name}.");

    protected static string Activate(OperatorGraph graph, Activation activation, string x) => activation switch
    {
        Activation.Tanh => graph.Add("Tanh", [x]),
        Activation.Softplus => graph.Add("Softplus", [x]),
        Activation.Relu => graph.Add("Relu", [x]),
        Activation.Silu => graph.Add("Mul", [x, graph.Add("Sigmoid", [x])]),
        _ => throw new NotSupportedException($"The activation {activation} cannot be exported to ONNX."),
    };

    /// <summary>σ′, given what goes into the activation and what comes out.</summary>
    protected static string Slope(OperatorGraph graph, Activation activation, string one, string before, string after)
    {
        switch (activation)
        {
            case Activation.Tanh:
                return graph.Add("Sub", [one, graph.Add("Mul", [after, after])]);
            case Activation.Softplus:
                return graph.Add("Sigmoid", [before]);
            case Activation.Relu:
                return graph.Add("Sign", [after]);
            default:
                string s = graph.Add("Sigmoid", [before]);
                return graph.Add("Add", [s, graph.Add("Mul", [after, graph.Add("Sub", [one, s])])]);
        }
    }

    private static NotSupportedException Unknown(Module dynamics) => new(
        $"The right-hand side is {dynamics.GetType().Name}; only {nameof(DenseDynamics)}, {nameof(ConvolutionalDynamics)}, "
        + $"{nameof(SecondOrderDynamics)}, {nameof(HeavyBallDynamics)} and {nameof(HamiltonianDynamics)} can be exported to ONNX.");

    private static ArgumentException Wrong(IReadOnlyList<long> stateShape, string right) =>
        new($"The state's shape is given as [{string.Join(", ", stateShape)}]; without the batch it is {right}.", nameof(stateShape));
}
