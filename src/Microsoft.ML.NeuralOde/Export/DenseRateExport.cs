using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// <see cref="DenseDynamics"/>: layers x ↦ (x Wᵀ + b) ⊙ gate + shift with activations between them, and on demand the trace of ∂f/∂y,
/// exactly: the rows of the identity go through the layers' derivatives beside the state.
/// </summary>
internal sealed class DenseRateExport : RateExport
{
    private const int FourierFrequencies = 4;

    private readonly DenseDynamics _dynamics;
    private readonly bool _withTrace;
    private readonly Layer[] _layers;
    private readonly Lazy<string> _one, _frequencies, _identity;

    public DenseRateExport(OperatorGraph graph, DenseDynamics dynamics, bool withTrace)
    {
        if (dynamics.Conditions > 0)
            throw new NotSupportedException(
                $"The right-hand side has {dynamics.Conditions} conditions; such dynamics cannot be exported to ONNX.");
        _dynamics = dynamics;
        _withTrace = withTrace;
        _layers = [.. Enumerable.Range(0, dynamics.Layers).Select(i => ReadLayer(graph, i))];
        _one = new(() => graph.Constant("one", [1], 1));
        _frequencies = new(() => graph.Constant(
            "frequencies", [.. Enumerable.Range(1, FourierFrequencies).Select(k => (float)(k * Math.PI))], FourierFrequencies));
        _identity = new(() => GraphTensors.Write(graph, "identity", eye(dynamics.Features)));
        string size = $"{dynamics.Features}";
        Shapes = withTrace ? [[Batch, size], [Batch]] : [[Batch, size]];
    }

    public override IReadOnlyList<string[]> Shapes { get; }

    public override bool UsesTime => _dynamics.Time != TimeDependence.None;

    public override string[] Evaluate(OperatorGraph graph, string[] state, string? time)
    {
        string x = state[0];
        // ∂x/∂y, transposed: shape [features, width], or [batch, features, width] once it depends on the row; null for the identity.
        string? tangents = null;
        for (int i = 0; i < _layers.Length; i++)
        {
            (string weight, string bias, string? gateWeight, string? gateBias, string? timeWeight) = _layers[i];
            string? gate = gateWeight is null
                ? null : graph.Add("Sigmoid", [graph.Add("Add", [graph.Add("Mul", [gateWeight, time!]), gateBias!])]);
            string? shift = timeWeight is null ? null : Shift(graph, timeWeight, time!);
            if (gate is null && shift is not null)
                bias = graph.Add("Add", [bias, shift]);
            x = graph.Add("Gemm", [x, weight, bias], null, OperatorGraph.Attribute("transB", 1));
            if (gate is not null)
                x = graph.Add("Mul", [x, gate]);
            if (gate is not null && shift is not null)
                x = graph.Add("Add", [x, shift]);
            bool isLast = i == _layers.Length - 1;
            string activated = isLast ? x : Activate(graph, _dynamics.Activation, x);
            if (_withTrace && isLast)
                return [x, Trace(graph, tangents, weight, gate)];
            if (_withTrace)
                tangents = Advance(graph, tangents, weight, gate, x, activated);
            x = activated;
        }
        return [x];
    }

    /// <summary>The tangents after a layer and its activation.</summary>
    private string Advance(OperatorGraph graph, string? tangents, string weight, string? gate, string before, string after)
    {
        string transposed = graph.Add("Transpose", [weight]);
        string next = tangents is null ? transposed : graph.Add("MatMul", [tangents, transposed]);
        if (gate is not null)
            next = graph.Add("Mul", [next, gate]);
        string slope = graph.Unsqueeze(Slope(graph, _dynamics.Activation, _one.Value, before, after), 1);
        return graph.Add("Mul", [next, slope]);
    }

    /// <summary>The sum over i of row i of the last layer's weights, times its gate, with the tangents of feature i.</summary>
    private string Trace(OperatorGraph graph, string? tangents, string weight, string? gate)
    {
        string rows = gate is null ? weight : graph.Add("Mul", [weight, graph.Unsqueeze(gate, 1)]);
        string products = graph.Add("Mul", [tangents ?? _identity.Value, rows]);
        // Counted from the front: operator sets before 11 know no negative axes.
        return graph.Sum(products, tangents is null ? [0, 1] : [1, 2], keepDimensions: false);
    }

    /// <summary>What time adds to a layer.</summary>
    private string Shift(OperatorGraph graph, string timeWeight, string time)
    {
        if (_dynamics.Time != TimeDependence.Fourier)
            return graph.Add("Mul", [timeWeight, time]);
        string angles = graph.Add("Mul", [_frequencies.Value, time]);
        string waves = graph.Add("Concat", [graph.Add("Mul", [_one.Value, time]), graph.Add("Sin", [angles]), graph.Add("Cos", [angles])],
            null, OperatorGraph.Attribute("axis", 0));
        return graph.Add("MatMul", [timeWeight, waves]);
    }

    private Layer ReadLayer(OperatorGraph graph, int i)
    {
        (Parameter Weight, Parameter Bias)? gate = _dynamics.Gate(i);
        Parameter? time = _dynamics.Time == TimeDependence.Fourier ? _dynamics.get_parameter($"time_weight{i}") : _dynamics.TimeWeight(i);
        return new Layer(
            GraphTensors.Write(graph, $"weight{i}", _dynamics.Weights[i]), GraphTensors.Write(graph, $"bias{i}", _dynamics.Biases[i]),
            gate is { } g ? GraphTensors.Write(graph, $"gate_weight{i}", g.Weight) : null,
            gate is { } h ? GraphTensors.Write(graph, $"gate_bias{i}", h.Bias) : null,
            time is null ? null : GraphTensors.Write(graph, $"time_weight{i}", time));
    }

    private sealed record Layer(string Weight, string Bias, string? GateWeight, string? GateBias, string? TimeWeight);
}
