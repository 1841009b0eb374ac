using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Export;

/// <summary>
/// <see cref="HamiltonianDynamics"/>: the derivatives of an energy by positions and momenta, which go backward through its layers.
/// </summary>
internal sealed class HamiltonianRateExport : RateExport
{
    private readonly HamiltonianDynamics _dynamics;
    private readonly Energy[] _energies;
    private readonly string _one;
    private readonly string _turn, _positions, _momenta;

    public HamiltonianRateExport(OperatorGraph graph, HamiltonianDynamics dynamics)
    {
        _dynamics = dynamics;
        long size = dynamics.Positions;
        Shapes = [[Batch, $"{2 * size}"]];
        _energies = [.. (dynamics.IsSeparable ? (string[])["potential_", "kinetic_"] : [""])
            .Select(prefix => new Energy(graph, dynamics, prefix))];
        _one = graph.Constant("one", [1], 1);
        using DisposeScope scope = NewDisposeScope();
        Tensor identity = eye(size), none = zeros(size, size);
        // Products with parts of the identity take halves of rows in every version of the operators.
        _positions = GraphTensors.Write(graph, "positions", cat([identity, none]));
        _momenta = GraphTensors.Write(graph, "momenta", cat([none, identity]));
        // (∂H/∂q, ∂H/∂p) ↦ (∂H/∂p, −∂H/∂q), and −∂H/∂q alone.
        _turn = dynamics.IsSeparable ? GraphTensors.Write(graph, "turn", identity.neg())
            : GraphTensors.Write(graph, "turn", cat([cat([none, identity.neg()], 1), cat([identity, none], 1)]));
    }

    public override IReadOnlyList<string[]> Shapes { get; }

    public override bool UsesTime => false;

    public override string? WhyNotLeapfrog => ((ISecondOrderSystem)_dynamics).WhyNotLeapfrog;

    public override string[] Evaluate(OperatorGraph graph, string[] state, string? time)
    {
        if (!_dynamics.IsSeparable)
            return [graph.Add("MatMul", [Gradient(graph, _energies[0], state[0]), _turn])];
        string potential = Gradient(graph, _energies[0], graph.Add("MatMul", [state[0], _positions]));
        string kinetic = Gradient(graph, _energies[1], graph.Add("MatMul", [state[0], _momenta]));
        return [graph.Add("Concat", [kinetic, graph.Add("MatMul", [potential, _turn])], null, OperatorGraph.Attribute("axis", 1))];
    }

    private string Gradient(OperatorGraph graph, Energy energy, string x)
    {
        var slopes = new string[energy.Weights.Length];
        for (int i = 0; i < slopes.Length; i++)
        {
            string before = graph.Add("Gemm", [x, energy.Weights[i], energy.Biases[i]], null, OperatorGraph.Attribute("transB", 1));
            x = Activate(graph, _dynamics.Activation, before);
            slopes[i] = Slope(graph, _dynamics.Activation, _one, before, x);
        }
        string gradient = energy.Last;
        for (int i = slopes.Length - 1; i >= 0; i--)
            gradient = graph.Add("MatMul", [graph.Add("Mul", [gradient, slopes[i]]), energy.Weights[i]]);
        return gradient;
    }

    /// <summary>The layers of an energy, of which the last is a vector.</summary>
    private sealed class Energy(OperatorGraph graph, HamiltonianDynamics dynamics, string prefix)
    {
        public string[] Weights { get; } = Write(graph, dynamics, $"{prefix}weight");

        public string[] Biases { get; } = Write(graph, dynamics, $"{prefix}bias");

        public string Last { get; } =
            GraphTensors.Write(graph, "energy", dynamics.get_parameter($"{prefix}weight{dynamics.Hidden.Count}")!);

        private static string[] Write(OperatorGraph graph, HamiltonianDynamics dynamics, string name) =>
            [.. Enumerable.Range(0, dynamics.Hidden.Count)
                .Select(i => GraphTensors.Write(graph, $"{name}{i}", dynamics.get_parameter($"{name}{i}")!))];
    }
}
