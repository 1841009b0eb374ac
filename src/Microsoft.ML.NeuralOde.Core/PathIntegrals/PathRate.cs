using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>
/// The right-hand side of a state with path integrals: the state's features and, behind them in each row, one column a quantity. Where rows
/// may leave the batch and something belongs to them by place, a last column holds their numbers, at rate zero.
/// </summary>
internal abstract class PathRate : IDisposable
{
    private readonly long[] _rowShape;
    private readonly Tensor? _probes;
    private readonly Tensor? _rowData;

    /// <param name="request">What to compute.</param>
    /// <param name="initialState">The state, shape <c>[batch, …]</c>.</param>
    /// <param name="rowData">What belongs to the rows beside the state, shape <c>[batch, …]</c>; null for nothing.</param>
    protected PathRate(PathRequest request, Tensor initialState, Tensor? rowData)
    {
        Request = request;
        Features = initialState.numel() / Math.Max(1, initialState.shape[0]);
        _rowShape = initialState.shape[1..];
        _rowData = rowData;
        // Unit vectors give the trace itself, and the sum of their images' squares is the norm.
        if (request is { NeedsJacobian: true, Trace.IsExact: false })
            _probes = request.Trace.Draw(initialState.shape[0], Features, initialState);
        HasRowNumbers = request.PerRow && (_probes is not null || rowData is not null);
        Width = Features + request.Count + (HasRowNumbers ? 1 : 0);
    }

    /// <summary>What is computed.</summary>
    public PathRequest Request { get; }

    /// <summary>Numbers of the state in a row.</summary>
    public long Features { get; }

    /// <summary>Numbers in a row of the packed state.</summary>
    public long Width { get; }

    /// <summary>
    /// What the rate depends on and may carry derivatives; what only the data of the rows were made from is not among them, since the graph
    /// goes on from there.
    /// </summary>
    public IReadOnlyList<Tensor> Parameters => [.. DynamicsParameters, .. _rowData is { requires_grad: true } ? (Tensor[])[_rowData] : []];

    /// <summary>The rate as a right-hand side with derivatives of its own; null where it is none.</summary>
    public virtual IAnalyticDynamics? Analytic => null;

    protected abstract IEnumerable<Tensor> DynamicsParameters { get; }

    /// <summary>The weight of one probe, or unit vector, in the sums.</summary>
    protected double ProbeWeight => _probes is null ? 1 : 1.0 / Request.Trace.Probes;

    /// <summary>Shape <c>[probes, batch, features]</c>; null where none are drawn.</summary>
    protected Tensor? Probes => _probes;

    /// <summary>Shape <c>[batch, …]</c>; null where nothing belongs to the rows.</summary>
    protected Tensor? RowData => _rowData;

    protected bool HasRowNumbers { get; }

    /// <summary>Chooses how to evaluate the dynamics.</summary>
    /// <exception cref="ArgumentException">The dynamics and the condition do not fit together.</exception>
    public static PathRate Create(Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, PathRequest request)
    {
        long expected = (dynamics as IConditionalDynamics)?.Conditions ?? 0;
        long found = request.Condition is null ? 0 : request.Condition.dim() == 2 ? request.Condition.shape[1] : -1;
        if (found != expected || (request.Condition is { } condition && condition.shape[0] != initialState.shape[0]))
            throw new ArgumentException(
                $"The condition {(request.Condition is null ? "is missing" : $"has shape [{string.Join(", ", request.Condition.shape)}]")}; "
                + (expected == 0 ? "these dynamics take none." : $"it must be [{initialState.shape[0]}, {expected}]."), nameof(request));
        return dynamics is DenseDynamics dense
            ? new DensePathRate(dense, initialState, request)
            : new AutogradPathRate(dynamics, initialState, request);
    }

    /// <summary>The packed initial state, integrals at zero; in the current scope.</summary>
    public Tensor Pack(Tensor initialState)
    {
        var parts = new List<Tensor> { initialState.reshape(-1, Features) };
        if (Request.Count > 0)
            parts.Add(initialState.new_zeros([initialState.shape[0], Request.Count]));
        if (HasRowNumbers)
            parts.Add(Numbers.Range(initialState.shape[0], initialState.dtype, initialState.device).unsqueeze(1));
        return parts.Count == 1 ? parts[0].alias() : cat(parts, 1);
    }

    /// <summary>The state in a packed one.</summary>
    public Tensor State(Tensor packed) => packed.narrow(1, 0, Features).reshape([packed.shape[0], .. _rowShape]);

    /// <summary>A quantity's integral in a packed state, shape <c>[batch]</c>; null where it was not asked for.</summary>
    public Tensor? Integral(Tensor packed, PathQuantities quantity)
    {
        if (!Request.Has(quantity))
            return null;
        int before = System.Numerics.BitOperations.PopCount((uint)Request.Quantities & ((uint)quantity - 1));
        return packed.select(1, Features + before);
    }

    /// <summary>The rate of a packed state.</summary>
    public Tensor Evaluate(Tensor time, Tensor packed)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor? rows = HasRowNumbers && packed.shape[0] != (_probes?.shape[1] ?? _rowData!.shape[0])
            ? packed.select(1, Width - 1).detach().to(ScalarType.Int64) : null;
        Tensor? probes = _probes is not null && rows is not null ? _probes.index_select(1, rows) : _probes;
        Tensor? rowData = _rowData is not null && rows is not null ? _rowData.index_select(0, rows) : _rowData;
        return Evaluate(time, packed, probes, rowData).MoveToOuterDisposeScope();
    }

    /// <summary>f itself, of a packed state of the whole batch; in the current scope.</summary>
    public virtual Tensor Velocity(Tensor time, Tensor packed) => Evaluate(time, packed);

    /// <summary>The rate of a packed state, given the probes <c>[probes, batch, features]</c> and data of its rows.</summary>
    protected abstract Tensor Evaluate(Tensor time, Tensor packed, Tensor? probes, Tensor? rowData);

    /// <summary>Joins the rates of the state and of the quantities, each of shape <c>[batch]</c> and asked for.</summary>
    protected Tensor Join(Tensor state, Tensor? divergence, Tensor? kineticEnergy, Tensor? jacobianNorm)
    {
        var parts = new List<Tensor>(5) { state.reshape(-1, Features) };
        foreach (Tensor? part in (ReadOnlySpan<Tensor?>)[divergence, kineticEnergy, jacobianNorm])
            if (part is not null)
                parts.Add(part.unsqueeze(1));
        if (HasRowNumbers)
            parts.Add(state.new_zeros([state.shape[0], 1]));
        return parts.Count == 1 ? parts[0] : cat(parts, 1);
    }

    /// <summary>Disposes what the rate keeps; it cannot be evaluated any more.</summary>
    public virtual void Dispose() => _probes?.Dispose();
}
