namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>
/// Path rates of <see cref="DenseDynamics"/>: the exact trace by <see cref="DenseTrace"/> where it applies, else
/// <see cref="DenseTangents"/>.
/// </summary>
internal sealed class DensePathRate : PathRate, IAnalyticDynamics
{
    /// <summary>With at most so many unit vectors the fused kernels are faster than the exact trace by matrix products.</summary>
    private const int MostUnits = 8;

    private readonly DenseDynamics _dynamics;
    private readonly Tensor? _units;

    public DensePathRate(DenseDynamics dynamics, Tensor initialState, PathRequest request)
        : base(request, initialState, request.Condition is null ? null : dynamics.Project(request.Condition).DetachFromDisposeScope())
    {
        _dynamics = dynamics;
        if (request is { NeedsJacobian: true, Trace.IsExact: true })
            _units = eye(Features, dtype: initialState.dtype, device: initialState.device).unsqueeze(1).DetachFromDisposeScope();
    }

    public override IAnalyticDynamics Analytic => this;

    protected override IEnumerable<Tensor> DynamicsParameters =>
        _dynamics.parameters().Where(parameter => !ReferenceEquals(parameter, _dynamics.ConditionWeight));

    /// <summary>Evaluates by fused kernels where the divergence is all that is integrated and all rows go the same steps.</summary>
    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        if (HasRowNumbers || Request.PerRow || Request.Condition is not null)
            return null;
        if (Request.Quantities == PathQuantities.None)
            return _dynamics.CreateEvaluator(state);
        if (Request.Quantities != PathQuantities.Divergence || (Probes is null && Features > MostUnits))
            return null;
        using Tensor units = Probes?.alias() ?? _units!.expand(Features, state.shape[0], Features);
        using Tensor contiguous = units.contiguous();
        return _dynamics.CreatePathEvaluator(state, contiguous, ProbeWeight);
    }

    protected override Tensor Evaluate(Tensor time, Tensor packed, Tensor? probes, Tensor? rowData)
    {
        if (Request.Quantities == PathQuantities.None)
            return Join(_dynamics.EvaluateProjected(time, packed.narrow(1, 0, Features), rowData), null, null, null);
        int layers = _dynamics.Layers;
        var weights = new Tensor[layers];
        var gates = new Tensor?[layers];
        var shifts = new Tensor[layers];
        for (int i = 0; i < layers; i++)
        {
            weights[i] = _dynamics.Weights[i];
            (gates[i], shifts[i]) = _dynamics.Modulation(i, time, rowData);
        }
        bool sharesTime = gates[^1] is null || gates[^1]!.dim() == 1;
        if (Request is { NeedsJacobian: true, Trace.IsExact: true } && !Request.Has(PathQuantities.JacobianNorm)
            && layers <= DenseTrace.MaximumLayers && sharesTime)
        {
            (Tensor f, Tensor trace) = DenseTrace.Evaluate(_dynamics.Activation, packed.narrow(1, 0, Features), weights, gates, shifts);
            return Join(f, trace, Request.Has(PathQuantities.KineticEnergy) ? f.Squared().sum(1) : null, null);
        }
        Tensor? tangents = probes ?? _units?.expand(Features, packed.shape[0], Features);
        return DenseTangents.Apply(
            new DenseTangents.Network(this, _dynamics.Activation, ProbeWeight), packed, tangents, weights, gates, shifts);
    }

    /// <inheritdoc cref="PathRate.Join"/>
    internal Tensor Pack(Tensor f, Tensor? divergence, Tensor? kineticEnergy, Tensor? jacobianNorm) =>
        Join(f, divergence, kineticEnergy, jacobianNorm);

    public override void Dispose()
    {
        _units?.Dispose();
        base.Dispose();
    }
}
