using Microsoft.ML.NeuralOde.PathIntegrals;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A continuous normalizing flow: an invertible map between data and a simple density, and thereby a density of the data that can be
/// evaluated exactly and sampled (R. T. Q. Chen et al., Neural Ordinary Differential Equations, 2018; W. Grathwohl et al., FFJORD, 2019).
/// </summary>
/// <remarks>
/// A row x, standardised, is z(0) of dz/dt = f(z, t); with z(1) the density is
/// log p(x) = log p₁(z(1)) + ∫₀¹ tr(∂f/∂z) dt − Σ log scale, where p₁ is the base distribution and the last term belongs to the
/// standardisation. Backward in time the same equation turns samples of p₁ into samples of the data. Several blocks are solved one after
/// the other.
/// <para>
/// <c>forward(x)</c> is log p(x), shape <c>[batch]</c>. Train by <see cref="NegativeLogLikelihood"/> or by <see cref="FlowMatching.Loss"/>.
/// In evaluation mode (<c>eval()</c>) <see cref="TraceEstimator.Auto"/> is exact and <see cref="ContinuousFlowOptions.EvaluationSolver"/>
/// applies. May serve several threads at once.
/// </para>
/// </remarks>
public sealed class ContinuousFlow : Module<Tensor, Tensor>
{
    // So many rows at a time keep what they need in a processor's cache: half the time of ten thousand at once.
    private const long SampleSlice = 2048;

    private readonly ModuleList<Module<Tensor, Tensor, Tensor>> _blocks;
    private readonly Standardization? _standardization;

    /// <summary>Creates a flow with dense dynamics.</summary>
    /// <param name="features">Size of a row.</param>
    /// <param name="options">Its shape and how it is solved; null for the defaults.</param>
    /// <param name="baseDistribution">p₁, which the flow then owns; null for the standard normal density.</param>
    /// <exception cref="ArgumentException">An option makes no sense; the message says which and what would.</exception>
    public ContinuousFlow(long features, ContinuousFlowOptions? options = null, BaseDistribution? baseDistribution = null)
        : this(features, Dense(features, options ??= new ContinuousFlowOptions()), options, baseDistribution)
    {
    }

    /// <summary>Creates a flow with dynamics of one's own.</summary>
    /// <param name="features">Size of a row.</param>
    /// <param name="dynamics">
    /// f of each block, <c>forward(t, z)</c> with z of shape <c>[batch, features]</c>; rows must not depend on each other. The flow owns
    /// them. Where they take a condition they implement <see cref="IConditionalDynamics"/>.
    /// </param>
    /// <param name="options">How the flow is solved; null for the defaults. What describes dense dynamics is not used.</param>
    /// <param name="baseDistribution">p₁, which the flow then owns; null for the standard normal density.</param>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    public ContinuousFlow(
        long features, IReadOnlyList<Module<Tensor, Tensor, Tensor>> dynamics, ContinuousFlowOptions? options = null,
        BaseDistribution? baseDistribution = null)
        : base(nameof(ContinuousFlow))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        ArgumentNullException.ThrowIfNull(dynamics);
        options ??= new ContinuousFlowOptions();
        options.Validate();
        if (dynamics.Count == 0)
            throw new ArgumentException("There are no dynamics; a flow needs at least one block.", nameof(dynamics));
        if (baseDistribution is not null && baseDistribution.Features != features)
            throw new ArgumentException(
                $"The base distribution has {baseDistribution.Features} features; it must have {features}.", nameof(baseDistribution));
        Features = features;
        Options = options;
        Base = baseDistribution ?? new StandardNormalBase(features);
        _blocks = new ModuleList<Module<Tensor, Tensor, Tensor>>([.. dynamics]);
        Conditions = dynamics.Max(block => (block as IConditionalDynamics)?.Conditions ?? 0);
        register_module("blocks", _blocks);
        register_module("base", Base);
        if (options.Standardize)
        {
            _standardization = new Standardization(features);
            register_module("standardization", _standardization);
        }
    }

    /// <summary>Size of a row.</summary>
    public long Features { get; }

    /// <summary>Size of the conditioning vector; 0 for none.</summary>
    public long Conditions { get; }

    /// <summary>Its shape and how it is solved.</summary>
    public ContinuousFlowOptions Options { get; }

    /// <summary>p₁.</summary>
    public BaseDistribution Base { get; }

    /// <summary>f of each block.</summary>
    public IReadOnlyList<Module<Tensor, Tensor, Tensor>> Blocks => [.. _blocks];

    /// <summary>The standardisation of the data; null where there is none.</summary>
    public Standardization? Standardization => _standardization;

    /// <summary>
    /// Adds rows to the moments by which the data are standardised. Call it before training, with all data or batch by batch.
    /// </summary>
    /// <param name="rows">Data, shape <c>[rows, features]</c>.</param>
    /// <exception cref="ArgumentException">The shape is wrong, or a value is NaN or infinite.</exception>
    public void Observe(Tensor rows) => _standardization?.Observe(rows);

    /// <summary>log p(x).</summary>
    /// <param name="input">Data, shape <c>[batch, features]</c>.</param>
    /// <returns>In nats, shape <c>[batch]</c>.</returns>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public override Tensor forward(Tensor input) => LogDensity(input);

    /// <summary>log p(x), or log p(x | c).</summary>
    /// <param name="data">x, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <returns>In nats, shape <c>[batch]</c>.</returns>
    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public Tensor LogDensity(Tensor data, Tensor? condition = null)
    {
        using DisposeScope scope = NewDisposeScope();
        return Encode(data, condition).LogDensity.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The loss of maximum likelihood: the mean of −log p(x), plus the penalties of <see cref="ContinuousFlowOptions.Regularization"/>.
    /// </summary>
    /// <param name="data">x, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <returns>A scalar.</returns>
    /// <exception cref="ArgumentException">A shape is wrong, there are no rows, or a value is NaN or infinite.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public Tensor NegativeLogLikelihood(Tensor data, Tensor? condition = null)
    {
        CheckTrainable(data, condition);
        using DisposeScope scope = NewDisposeScope();
        FlowEncoding encoding = EncodeWith(Options.Regularization, data, condition);
        Tensor loss = -encoding.LogDensity.mean();
        return (encoding.Penalty is { } penalty ? loss.Plus(penalty) : loss).MoveToOuterDisposeScope();
    }

    /// <summary>Carries data to the base distribution.</summary>
    /// <param name="data">x, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <returns>z and log p(x).</returns>
    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public FlowEncoding Encode(Tensor data, Tensor? condition = null) => EncodeWith(PathRegularization.None, data, condition);

    /// <summary>Carries points of the base distribution to the data.</summary>
    /// <param name="latent">z, shape <c>[batch, features]</c>.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <returns>x and log p(x).</returns>
    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public FlowEncoding Decode(Tensor latent, Tensor? condition = null)
    {
        Check(latent, condition, nameof(latent));
        using DisposeScope scope = NewDisposeScope();
        Tensor z = latent;
        Tensor logDensity = Base.call(latent);
        var statistics = new List<SolverStatistics>();
        for (int i = _blocks.Count - 1; i >= 0; i--)
        {
            PathResult path = Solve(i, z, 1, 0, PathQuantities.Divergence, condition);
            // The path runs backward: its integral is −∫₀¹.
            logDensity = logDensity - path.Divergence!;
            z = path.State;
            statistics.Add(path.Statistics);
        }
        Tensor data = _standardization?.Invert(z) ?? z.alias();
        logDensity = logDensity.Plus(LogDeterminant);
        return new FlowEncoding(data.MoveToOuterDisposeScope(), latent.alias().MoveToOuterDisposeScope(),
            logDensity.MoveToOuterDisposeScope(), null, statistics);
    }

    /// <summary>Draws independent samples.</summary>
    /// <param name="count">How many.</param>
    /// <param name="condition">c, shape <c>[count, conditions]</c>; null where the flow has none.</param>
    /// <param name="generator">Source of randomness; null for the global one.</param>
    /// <returns>x, shape <c>[count, features]</c>, without a graph.</returns>
    /// <exception cref="ArgumentException">The count is not positive, or the condition's shape is wrong.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public Tensor Sample(long count, Tensor? condition = null, Generator? generator = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor z = Base.Sample(count, generator);
        Check(z, condition, nameof(count));
        long slice = z.device_type == DeviceType.CPU ? SampleSlice : count;
        var parts = new List<Tensor>();
        for (long first = 0; first < count; first += slice)
        {
            long rows = Math.Min(slice, count - first);
            parts.Add(ToData(z.narrow(0, first, rows), condition?.narrow(0, first, rows)));
        }
        return (parts.Count == 1 ? parts[0] : cat(parts)).MoveToOuterDisposeScope();
    }

    /// <summary>The way of points of the base distribution to the data.</summary>
    /// <param name="latent">z, shape <c>[batch, features]</c>.</param>
    /// <param name="intervals">Number of equal intervals of each block's time at whose ends the points are wanted.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>; null where the flow has none.</param>
    /// <returns>
    /// Shape <c>[blocks · intervals + 1, batch, features]</c>, the base distribution first and the data last, all in the data's units;
    /// without a graph.
    /// </returns>
    /// <exception cref="ArgumentException">A shape is wrong or the number is not positive.</exception>
    /// <exception cref="OdeSolverException">The flow cannot be solved; the message says why and what to try.</exception>
    public Tensor DecodePath(Tensor latent, int intervals, Tensor? condition = null)
    {
        Check(latent, condition, nameof(latent));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(intervals);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        var points = new List<Tensor> { latent.detach() };
        for (int i = _blocks.Count - 1; i >= 0; i--)
            for (int k = intervals; k > 0; k--)
                points.Add(Solve(i, points[^1], (double)k / intervals, (double)(k - 1) / intervals, PathQuantities.None, condition).State);
        Tensor all = stack(points);
        return (_standardization?.Invert(all) ?? all).MoveToOuterDisposeScope();
    }

    /// <summary>x as the blocks see it.</summary>
    internal Tensor Standardize(Tensor data) => _standardization?.call(data) ?? data.alias();

    internal void Check(Tensor rows, Tensor? condition, string name)
    {
        Inputs.RequireAlive(rows, name, "The tensor of rows");
        RequireAlive();
        foreach (TorchSharp.Modules.Parameter parameter in parameters())
            Inputs.RequireAlive(parameter, nameof(ContinuousFlow), "A parameter of the flow");
        if (condition is not null)
            Inputs.RequireAlive(condition, nameof(condition), "The condition");
        if (!rows.is_floating_point())
            throw new ArgumentException(
                $"The rows have type {rows.dtype}; they must be of a floating-point type, that of the flow's parameters.", name);
        if (rows.dim() != 2 || rows.shape[1] != Features)
            throw new ArgumentException($"The rows have shape [{string.Join(", ", rows.shape)}]; it must be [batch, {Features}].", name);
        if (OtherDeviceThan(rows) is { } elsewhere)
            throw new ArgumentException($"The rows are on {rows.device}, the flow is on {elsewhere}; move both to one device.", name);
        if (condition is not null && OtherDeviceThan(condition) is { } other)
            throw new ArgumentException(
                $"The condition is on {condition.device}, the flow is on {other}; move both to one device.", nameof(condition));
        string found = condition is null ? "is missing" : $"has shape [{string.Join(", ", condition.shape)}]";
        if (Conditions == 0 && condition is not null)
            throw new ArgumentException($"The condition {found}, but this flow takes none.", nameof(condition));
        if (Conditions > 0
            && (condition is null || condition.dim() != 2 || condition.shape[0] != rows.shape[0] || condition.shape[1] != Conditions))
            throw new ArgumentException($"The condition {found}; it must have shape [{rows.shape[0]}, {Conditions}].", nameof(condition));
    }

    /// <summary>The flow's device where a tensor is on another one; null where it is on the same.</summary>
    private Device? OtherDeviceThan(Tensor tensor) =>
        ((Tensor?)parameters().FirstOrDefault() ?? _standardization?.get_buffer("mean")) is { } own
        && (own.device_type != tensor.device_type || own.device_index != tensor.device_index)
            ? own.device
            : null;

    /// <exception cref="ObjectDisposedException">The flow is disposed of.</exception>
    private void RequireAlive()
    {
        try
        {
            _ = training;
        }
        catch (ObjectDisposedException)
        {
            throw new ObjectDisposedException(null, "The flow is disposed of; it must live as long as it is used.");
        }
    }

    /// <summary>Refuses batches whose loss would make the weights NaN.</summary>
    internal void CheckTrainable(Tensor data, Tensor? condition)
    {
        Check(data, condition, nameof(data));
        if (data.shape[0] == 0)
            throw new ArgumentException("The batch has no rows; a loss needs at least one.", nameof(data));
        if (!AreFinite(data) || (condition is not null && !AreFinite(condition)))
            throw new ArgumentException(
                "The batch holds values that are NaN or infinite; leave such rows out or replace the values.", nameof(data));

        static bool AreFinite(Tensor values)
        {
            using DisposeScope scope = NewDisposeScope();
            return values.isfinite().all().item<bool>();
        }
    }

    /// <summary>x of z, without its density.</summary>
    private Tensor ToData(Tensor z, Tensor? condition)
    {
        using DisposeScope scope = NewDisposeScope();
        for (int i = _blocks.Count - 1; i >= 0; i--)
            z = Solve(i, z, 1, 0, PathQuantities.None, condition).State;
        return (_standardization?.Invert(z) ?? z.alias()).MoveToOuterDisposeScope();
    }

    private double LogDeterminant => _standardization?.LogDeterminant() ?? 0;

    private FlowEncoding EncodeWith(PathRegularization regularization, Tensor data, Tensor? condition)
    {
        Check(data, condition, nameof(data));
        using DisposeScope scope = NewDisposeScope();
        Tensor z = Standardize(data);
        Tensor? logDensity = null, penalty = null;
        var statistics = new List<SolverStatistics>(_blocks.Count);
        for (int i = 0; i < _blocks.Count; i++)
        {
            PathResult path = Solve(i, z, 0, 1, PathQuantities.Divergence | regularization.Quantities, condition);
            logDensity = logDensity is null ? path.Divergence! : logDensity.Plus(path.Divergence!);
            if (regularization.Penalty(path.KineticEnergy, path.JacobianNorm) is { } part)
                penalty = penalty is null ? part : penalty.Plus(part);
            z = path.State;
            statistics.Add(path.Statistics);
        }
        logDensity = logDensity!.Plus(Base.call(z)).Plus(LogDeterminant);
        return new FlowEncoding(
            data.alias().MoveToOuterDisposeScope(), z.MoveToOuterDisposeScope(), logDensity.MoveToOuterDisposeScope(),
            penalty?.MoveToOuterDisposeScope(), statistics);
    }

    private PathResult Solve(int block, Tensor z, double from, double to, PathQuantities quantities, Tensor? condition)
    {
        Module<Tensor, Tensor, Tensor> dynamics = _blocks[block];
        bool takesCondition = dynamics is IConditionalDynamics { Conditions: > 0 };
        OdeSolverOptions solver = training ? Options.Solver : Options.EvaluationSolver ?? Options.Solver;
        return PathIntegration.Solve(
            dynamics, z, from, to, solver, quantities, Options.Trace, takesCondition ? condition : null, Options.ControlLogDensityError);
    }

    private static DenseDynamics[] Dense(long features, ContinuousFlowOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        options.Validate();
        return [.. Enumerable.Range(0, options.Blocks).Select(_ =>
        {
            var dynamics = new DenseDynamics(features, options.Hidden, options.Activation, options.Time, options.Conditions);
            dynamics.Scale(options.InitialGain, options.InputScale);
            return dynamics;
        })];
    }
}
