namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Evaluates <see cref="HamiltonianDynamics"/> without a graph, by the energy's derivatives written out.</summary>
internal sealed class HamiltonianEvaluator(HamiltonianDynamics dynamics) : DynamicsEvaluator
{
    private int[][]? _slots;

    public HamiltonianDynamics Dynamics => dynamics;

    /// <summary>Where the gradients of each network's parameters are added.</summary>
    public int[][] Slots
    {
        get
        {
            if (_slots is not null)
                return _slots;
            var slots = new ParameterSlots(dynamics);
            return _slots = [.. dynamics.Networks.Select(network => network.Slots(slots))];
        }
    }

    public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] gradients = [.. dynamics.Networks.Zip(dynamics.Split(state), (network, part) => network.Gradient(part))];
        derivative.copy_(Turned(gradients));
    }

    public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        // The state may change before its derivatives are asked for.
        EnergyPoint[] points = [.. dynamics.Networks.Zip(dynamics.Split(state.clone()), (network, part) => network.Differentiate(part))];
        derivative.copy_(Turned([.. points.Select(point => point.InputGradient)]));
        return new HamiltonianLinearization(this, points);
    }

    private static Tensor Turned(Tensor[] gradients) =>
        HamiltonianDynamics.Turn(gradients.Length == 1 ? gradients[0] : HamiltonianDynamics.Join(gradients[0], gradients[1]));
}

/// <summary>The derivatives of a Hamiltonian system at one point.</summary>
internal sealed class HamiltonianLinearization : DynamicsLinearization
{
    private readonly HamiltonianEvaluator _evaluator;
    private readonly EnergyPoint[] _points;
    private readonly Tensor[] _kept;
    private EnergySensitivities[] _sensitivities = [];

    public HamiltonianLinearization(HamiltonianEvaluator evaluator, EnergyPoint[] points)
    {
        _evaluator = evaluator;
        _points = points;
        _kept = [.. points.SelectMany(point => point.Kept).Select(tensor => tensor.DetachFromDisposeScope())];
        MemoryBytes = _kept.Sum(tensor => tensor.numel() * tensor.element_size());
    }

    public override long? MemoryBytes { get; }

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        using IDisposable noGrad = no_grad();
        Forget();
        using DisposeScope scope = NewDisposeScope();
        // f = (g_p, −g_q): λ · f = μ · g with μ = (−λ_p, λ_q).
        Tensor[] directions = _evaluator.Dynamics.Split(HamiltonianDynamics.Turn(cotangent).neg());
        var results = _points.Zip(directions, (point, direction) => point.Pull(direction)).ToArray();
        state.copy_(results.Length == 1 ? results[0].State : HamiltonianDynamics.Join(results[0].State, results[1].State));
        times.Clear();
        _sensitivities = [.. results.Select(result => result.Sensitivities)];
        foreach (Tensor tensor in _sensitivities.SelectMany(Own))
            tensor.DetachFromDisposeScope();
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        for (int i = 0; i < _sensitivities.Length; i++)
            foreach ((Tensor gradient, int slot) in _sensitivities[i].Gradients().Zip(_evaluator.Slots[i]))
                gradients[slot]?.Add(gradient.Times(weight));
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Forget();
            foreach (Tensor tensor in _kept)
                tensor.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <summary>What a pull made; the rest of the sensitivities belongs to the points.</summary>
    private static IEnumerable<Tensor> Own(EnergySensitivities sensitivities) => [.. sensitivities.Tangents, .. sensitivities.Before];

    private void Forget()
    {
        foreach (Tensor tensor in _sensitivities.SelectMany(Own))
            tensor.Dispose();
        _sensitivities = [];
    }
}
