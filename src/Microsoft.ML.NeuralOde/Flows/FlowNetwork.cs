using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>The structure of flows side by side and how they are solved for predictions, as it stands in a model file.</summary>
/// <param name="FeatureCount">Features of a row.</param>
/// <param name="ConditionCount">Numbers of the condition; 0 for none.</param>
/// <param name="Members">Flows side by side.</param>
/// <param name="Blocks">Flows one after the other in each.</param>
/// <param name="HiddenLayers">Hidden layers of the right-hand sides.</param>
/// <param name="Activation">The non-linearity.</param>
/// <param name="Solver">The numerical method.</param>
/// <param name="RelativeTolerance">rtol.</param>
/// <param name="AbsoluteTolerance">atol.</param>
/// <param name="StepSize">Its fixed step; null for error control.</param>
/// <param name="WholeSlots">The features that were dequantised.</param>
/// <param name="ReshapedSlots">The features that are reshaped; null for none.</param>
/// <param name="ReshapingKnots">Values in the table of each of them.</param>
/// <param name="WholeValues">What samples of the features that were dequantised may be; null where any whole number may be.</param>
/// <param name="Filling">What stands in for missing features, a number each; null where nothing does.</param>
internal sealed record FlowDescription(
    int FeatureCount, int ConditionCount, int Members, int Blocks, int[] HiddenLayers, Activation Activation, string Solver,
    double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize, int[] WholeSlots, int[]? ReshapedSlots = null, int ReshapingKnots = 0,
    WholeValues? WholeValues = null, float[]? Filling = null)
{
    // Both ends of a table lie beyond the values.
    private const int FewestKnots = 4;

    /// <summary>Fixed steps, or each row with its own: no row's result depends on its neighbours.</summary>
    public OdeSolverOptions ScoringOptions() => new()
    {
        Method = OdeMethod.Parse(Solver),
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        PerRow = StepSize is null,
    };

    /// <summary>
    /// The number of weights of such flows, but for those of time and conditions; as a floating-point number, which does not overflow.
    /// </summary>
    public double WeightCount()
    {
        double weights = 0;
        int[] sizes = [FeatureCount, .. HiddenLayers, FeatureCount];
        for (int i = 1; i < sizes.Length; i++)
            weights += ((double)sizes[i - 1] + 1) * sizes[i];
        return weights * Members * Blocks;
    }

    /// <summary>
    /// What makes no sense in a description that was read from a file with so many numbers, as a clause; null for nothing.
    /// </summary>
    public string? FindDefect(long numbers)
    {
        if (FeatureCount <= 0 || ConditionCount < 0 || Members <= 0 || Blocks <= 0 || HiddenLayers.Any(size => size <= 0))
            return "a size of its network is not positive";
        if (!Enum.IsDefined(Activation) || WholeSlots.Any(slot => slot < 0 || slot >= FeatureCount))
            return "its activation or one of its slots does not exist";
        if (WholeValues?.FindDefect(WholeSlots.Length, FeatureCount) is { } defect)
            return defect;
        if (Filling is not null && (Filling.Length != FeatureCount || !Filling.All(float.IsFinite)))
            return "what stands in for missing features makes no sense";
        if (ReshapedSlots is { } reshaped
            && (ReshapingKnots < FewestKnots || reshaped.Any(slot => slot < 0 || slot >= FeatureCount)
                || reshaped.Distinct().Count() != reshaped.Length))
            return "its tables of reshaped features make no sense";
        double tables = 2.0 * (ReshapedSlots?.Length ?? 0) * ReshapingKnots;
        if (WeightCount() + ConditionCount + tables > numbers)
            return "it declares more weights than it holds";
        try
        {
            ScoringOptions().Validate();
            return null;
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }
}

/// <summary>What flows say against rows, each of shape <c>[batch]</c>.</summary>
/// <param name="Surprise">−log p, in nats, of the row with its features reshaped.</param>
/// <param name="LatentEnergy">|z|² / 2.</param>
internal sealed record FlowEvidence(Tensor Surprise, Tensor LatentEnergy);

/// <summary>
/// One or several flows on standardised features. The standardisation is part of the density: log p(x) = log p(u) + Σ log scale with
/// u = (x − mean) · scale; where features are reshaped before it, so are the slopes of their maps.
/// </summary>
internal sealed class FlowNetwork : Module<Tensor, Tensor>, ITrainedNetwork
{
    private const string Mean = "mean", Scale = "scale", ConditionMean = "condition_mean", ConditionScale = "condition_scale";
    private const string ReshapedValues = "reshaped_values", ReshapedImages = "reshaped_images";

    // Farther out squares overflow; the density is zero for all purposes long before.
    public const double FarthestStandardized = 1e15;
    private static readonly Scalar Farthest = FarthestStandardized, FarthestBelow = -FarthestStandardized;

    private readonly ContinuousFlow[] _flows;

    /// <summary>Flows with random weights.</summary>
    /// <param name="description">Their structure.</param>
    /// <param name="trainingSolver">How they are solved in training; null for the same as for predictions.</param>
    public FlowNetwork(FlowDescription description, OdeSolverOptions? trainingSolver = null)
        : base(nameof(FlowNetwork))
    {
        // The network outlives whatever dispose scope it is made in.
        using DisposeScope scope = NewDisposeScope();
        Description = description;
        var options = new ContinuousFlowOptions
        {
            Hidden = [.. description.HiddenLayers.Select(size => (long)size)],
            Activation = description.Activation,
            Time = TimeDependence.Fourier,
            Blocks = description.Blocks,
            Conditions = description.ConditionCount,
            Standardize = false,
            Solver = trainingSolver ?? description.ScoringOptions(),
            EvaluationSolver = description.ScoringOptions(),
        };
        _flows = new ContinuousFlow[description.Members];
        for (int i = 0; i < _flows.Length; i++)
        {
            _flows[i] = new ContinuousFlow(description.FeatureCount, options);
            register_module($"flow{i}", _flows[i]);
        }
        Register(Mean, zeros(description.FeatureCount));
        Register(Scale, ones(description.FeatureCount));
        if (description.ReshapedSlots is { } reshaped)
        {
            Register(ReshapedValues, zeros(reshaped.Length, description.ReshapingKnots));
            Register(ReshapedImages, zeros(reshaped.Length, description.ReshapingKnots));
        }
        if (description.ConditionCount > 0)
        {
            Register(ConditionMean, zeros(description.ConditionCount));
            Register(ConditionScale, ones(description.ConditionCount));
        }
        // torch's default device may be another one.
        if (Buffer(Mean).device_type != DeviceType.CPU)
            this.to(CPU);
    }

    public FlowDescription Description { get; }

    public IReadOnlyList<ContinuousFlow> Flows => _flows;

    public Device Device { get; private set; } = CPU;

    /// <summary>Sets what rows are standardised with: (x − mean) · scale, for features that are reshaped those of their images.</summary>
    public void Standardize((float[] Mean, float[] Scale) features, ReshapingTables? reshaping, (float[] Mean, float[] Scale)? conditions)
    {
        if (reshaping is not null)
        {
            Fill(ReshapedValues, reshaping.Values);
            Fill(ReshapedImages, reshaping.Images);
        }
        Fill(Mean, features.Mean);
        Fill(Scale, features.Scale);
        if (conditions is not { } condition)
            return;
        Fill(ConditionMean, condition.Mean);
        Fill(ConditionScale, condition.Scale);
    }

    /// <summary>Rows as the flows see them.</summary>
    public Tensor ToFlow(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        return Standardized(Reshaped(features).Features).MoveToOuterDisposeScope();
    }

    /// <summary>Conditions as the flows see them; null without them.</summary>
    public Tensor? ToFlowCondition(Tensor? conditions) =>
        conditions is null ? null : (conditions - Buffer(ConditionMean)).mul_(Buffer(ConditionScale));

    /// <summary>What a unit of a feature is to the flows, shape <c>[features]</c>.</summary>
    public Tensor Units => Buffer(Scale);

    /// <summary>What features are standardised with, as numbers: (x − mean) · scale.</summary>
    public (float[] Mean, float[] Scale) FeatureStatistics()
    {
        using Tensor mean = Buffer(Mean).cpu(), scale = Buffer(Scale).cpu();
        return (mean.data<float>().ToArray(), scale.data<float>().ToArray());
    }

    /// <summary>z and log p(x) of the only flow.</summary>
    public (Tensor Latent, Tensor LogDensity) Encode(Tensor features, Tensor? conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor reshaped, Tensor logSlope) = Reshaped(features);
        FlowEncoding encoding = _flows[0].Encode(Standardized(reshaped), ToFlowCondition(conditions));
        return (encoding.Latent.MoveToOuterDisposeScope(), encoding.LogDensity.Plus(logSlope).MoveToOuterDisposeScope());
    }

    /// <summary>log p(x) of the flows' mixture, shape <c>[batch]</c>.</summary>
    /// <param name="features">x, shape <c>[batch, features]</c>.</param>
    /// <param name="conditions">Shape <c>[batch, conditions]</c>; null without them.</param>
    public Tensor LogDensity(Tensor features, Tensor? conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor reshaped, Tensor logSlope) = Reshaped(features);
        Tensor u = Standardized(reshaped);
        Tensor? c = ToFlowCondition(conditions);
        Tensor each = stack([.. _flows.Select(flow => flow.LogDensity(u, c))]);
        return each.logsumexp(0).Minus(Math.Log(_flows.Length)).Plus(logSlope).MoveToOuterDisposeScope();
    }

    /// <summary>What the flows say against each row, the mean over them.</summary>
    public FlowEvidence Evidence(Tensor features, Tensor? conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor u = ToFlow(features);
        Tensor? c = ToFlowCondition(conditions);
        Tensor? logDensity = null, energy = null;
        foreach (ContinuousFlow flow in _flows)
        {
            FlowEncoding encoding = flow.Encode(u, c);
            Tensor squares = encoding.Latent.Squared().sum(dim: 1L);
            logDensity = logDensity is null ? encoding.LogDensity : logDensity.Plus(encoding.LogDensity);
            energy = energy is null ? squares : energy.Plus(squares);
        }
        Tensor surprise = -logDensity!.Over(_flows.Length).Plus(LogScale());
        return new FlowEvidence(surprise.MoveToOuterDisposeScope(), energy!.Over(2 * _flows.Length).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => LogDensity(
        input.narrow(1, 0, Description.FeatureCount),
        Description.ConditionCount > 0 ? input.narrow(1, Description.FeatureCount, Description.ConditionCount) : null);

    /// <summary>Draws rows from the flows' mixture.</summary>
    /// <param name="count">How many.</param>
    /// <param name="condition">Shape <c>[1, conditions]</c>; null without.</param>
    /// <param name="generator">Source of randomness.</param>
    /// <returns>Shape <c>[count, features]</c>.</returns>
    public Tensor Sample(int count, Tensor? condition, Generator generator)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor? c = ToFlowCondition(condition);
        // As many from each, give or take one: the same density with less variance than by lot.
        var parts = new List<Tensor>();
        for (int i = 0, done = 0; i < _flows.Length; i++)
        {
            int part = (int)((long)count * (i + 1) / _flows.Length) - done;
            if (part > 0)
                parts.Add(_flows[i].Sample(part, c?.expand(part, -1), generator));
            done += part;
        }
        Tensor u = cat(parts);
        Tensor order = Draws.Permutation(count, u.device, generator);
        return FromFlow(u.index_select(0, order)).MoveToOuterDisposeScope();
    }

    /// <summary>Quantiles of the only feature, the mean over the flows.</summary>
    /// <param name="conditions">Shape <c>[rows, conditions]</c>.</param>
    /// <param name="probabilities">Each between 0 and 1.</param>
    /// <returns>Shape <c>[rows, probabilities]</c>.</returns>
    public Tensor Quantiles(Tensor conditions, double[] probabilities)
    {
        using DisposeScope scope = NewDisposeScope();
        long rows = conditions.shape[0], count = probabilities.Length;
        Tensor latent = special.ndtri(tensor(probabilities, device: conditions.device)).to(ScalarType.Float32).repeat(rows).unsqueeze(1);
        Tensor c = ToFlowCondition(conditions)!.repeat_interleave(count, 0L);
        Tensor? sum = null;
        foreach (ContinuousFlow flow in _flows)
        {
            Tensor x = FromFlow(flow.DecodePath(latent, 1, c).select(0, -1));
            sum = sum is null ? x : sum.Plus(x);
        }
        return sum!.Over(_flows.Length).view(rows, count).MoveToOuterDisposeScope();
    }

    /// <summary>Rows in their own units of rows as the flows see them.</summary>
    private Tensor FromFlow(Tensor u)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = (u / Buffer(Scale)).Plus(Buffer(Mean));
        if (Description.ReshapedSlots is { } slots)
        {
            Tensor index = Index(slots, x.device);
            x.index_copy_(1, index, ReshapingTables.Map(x.index_select(1, index), Buffer(ReshapedImages), Buffer(ReshapedValues)).Mapped);
        }
        if (Description.WholeValues is { } values)
            values.Restrict(x, Description.WholeSlots);
        foreach (int slot in Description.WholeSlots)
            x.select(1, slot).round_();
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>Moves weights and statistics to a device.</summary>
    public void MoveTo(Device device)
    {
        if (device.type == Device.type && device.index == Device.index)
            return;
        Device = device;
        this.to(device);
        foreach ((string _, Tensor tensor) in Named())
            tensor.DetachFromDisposeScope();
    }

    /// <summary>Every weight and statistic by name.</summary>
    public IReadOnlyList<NamedArray> ToArrays() => NamedTensors.ToArrays(Named());

    /// <exception cref="InvalidDataException">The arrays are not those of this network.</exception>
    public void FromArrays(IReadOnlyList<NamedArray> arrays) => NamedTensors.Fill(Named(), arrays.ToDictionary(array => array.Name));

    /// <summary>The features reshaped, and the logarithm of all slopes from x to u, the same for all rows where none is.</summary>
    private (Tensor Features, Tensor LogSlope) Reshaped(Tensor features)
    {
        if (Description.ReshapedSlots is not { } slots)
            return (features, LogScale());
        Tensor index = Index(slots, features.device);
        (Tensor images, Tensor slope) =
            ReshapingTables.Map(features.index_select(1, index), Buffer(ReshapedValues), Buffer(ReshapedImages));
        return (features.index_copy(1, index, images), slope.log().sum(dim: 1L).Plus(LogScale()));
    }

    private Tensor Standardized(Tensor features) => (features - Buffer(Mean)).mul_(Buffer(Scale)).clamp_(FarthestBelow, Farthest);

    private static Tensor Index(int[] slots, Device device) => tensor([.. slots.Select(slot => (long)slot)], device: device);

    private Tensor LogScale() => Buffer(Scale).to(ScalarType.Float64).log().sum().to(ScalarType.Float32);

    private IEnumerable<(string Name, Tensor Tensor)> Named() => named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter))
        // Buffers of the flows' own are no part of the model.
        .Concat(named_buffers().Where(pair => !pair.name.Contains('.')).Select(pair => (pair.name, pair.buffer)));

    private Tensor Buffer(string name) => get_buffer(name)!;

    private void Register(string name, Tensor value) => register_buffer(name, value.DetachFromDisposeScope());

    private void Fill(string name, float[] values)
    {
        using IDisposable noGrad = no_grad();
        using Tensor source = tensor(values, Buffer(name).shape, device: CPU);
        Buffer(name).copy_(source);
    }
}
