namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// <see cref="SecondOrderDynamics"/> and <see cref="HeavyBallDynamics"/>: z′ = v, v′ = a − γ v with a dense network for a.
/// </summary>
internal sealed class HalvesRateExport : RateExport
{
    private readonly DenseRateExport _network;
    private readonly bool _takesVelocities;
    private readonly string _positions, _velocities;
    private readonly string? _damping;

    private HalvesRateExport(OperatorGraph graph, DenseDynamics network, bool takesVelocities, double? damping)
    {
        _network = new DenseRateExport(graph, network, withTrace: false);
        _takesVelocities = takesVelocities;
        long size = network.Outputs;
        Shapes = [[Batch, $"{2 * size}"]];
        using DisposeScope scope = NewDisposeScope();
        // Products with parts of the identity take halves of rows in every version of the operators.
        _positions = GraphTensors.Write(graph, "positions", cat([eye(size), zeros(size, size)]));
        _velocities = GraphTensors.Write(graph, "velocities", cat([zeros(size, size), eye(size)]));
        _damping = damping is { } gamma ? graph.Scalar("damping", (float)gamma) : null;
    }

    public override IReadOnlyList<string[]> Shapes { get; }

    public override bool UsesTime => _network.UsesTime;

    public static HalvesRateExport Of(OperatorGraph graph, SecondOrderDynamics dynamics) => new(graph, dynamics.Acceleration, true, null);

    public static HalvesRateExport Of(OperatorGraph graph, HeavyBallDynamics dynamics) =>
        new(graph, dynamics.Force, false, dynamics.Damping);

    public override string[] Evaluate(OperatorGraph graph, string[] state, string? time)
    {
        string velocities = graph.Add("MatMul", [state[0], _velocities]);
        string input = _takesVelocities ? state[0] : graph.Add("MatMul", [state[0], _positions]);
        string acceleration = _network.Evaluate(graph, [input], time)[0];
        if (_damping is not null)
            acceleration = graph.Add("Sub", [acceleration, graph.Add("Mul", [velocities, _damping])]);
        return [graph.Add("Concat", [velocities, acceleration], null, OperatorGraph.Attribute("axis", 1))];
    }
}
