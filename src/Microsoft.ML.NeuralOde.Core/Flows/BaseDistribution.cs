using Microsoft.ML.NeuralOde.Flows;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>The density to which a flow carries its data. <c>forward(z)</c> is log p(z), one number a row.</summary>
public abstract class BaseDistribution : Module<Tensor, Tensor>
{
    /// <summary>For subclasses.</summary>
    /// <param name="name">Name of the module.</param>
    /// <param name="features">Size of z.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    protected BaseDistribution(string name, long features)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        Features = features;
    }

    /// <summary>Size of z.</summary>
    public long Features { get; }

    /// <summary>Draws independent samples.</summary>
    /// <param name="count">How many.</param>
    /// <param name="generator">Source of randomness; null for the global one.</param>
    /// <returns>Shape <c>[count, features]</c>.</returns>
    public abstract Tensor Sample(long count, Generator? generator = null);
}

/// <summary>Independent standard normal components.</summary>
public sealed class StandardNormalBase : BaseDistribution
{
    // The module has no tensors that would tell.
    private ScalarType _type;
    private Device _device;

    /// <summary>Creates the distribution.</summary>
    /// <param name="features">Size of z.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    public StandardNormalBase(long features)
        : base(nameof(StandardNormalBase), features)
    {
        using Tensor usual = zeros(1);
        (_type, _device) = (usual.dtype, usual.device);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => Gaussian.LogDensity(input);

    /// <inheritdoc/>
    public override Tensor Sample(long count, Generator? generator = null)
    {
        return Draws.Normal([count, Features], _type, _device, generator);
    }

    /// <inheritdoc/>
    protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking)
    {
        base._toEpilog(dtype, device, non_blocking);
        _type = dtype ?? _type;
        _device = device ?? _device;
    }
}

/// <summary>
/// A mixture of Gaussians with independent components: Σ πₖ N(z; μₖ, diag sₖ²). Means, scales and weights are parameters and are learned
/// with the flow, unless they are frozen.
/// </summary>
public sealed class GaussianMixtureBase : BaseDistribution
{
    /// <summary>Creates a mixture from its parts.</summary>
    /// <param name="means">μ, shape <c>[components, features]</c>.</param>
    /// <param name="scales">s, positive, in the shape of the means; null for 1.</param>
    /// <param name="weights">π, positive, shape <c>[components]</c>, normalised here; null for equal weights.</param>
    /// <param name="isLearned">Whether the parts receive gradients.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or scales or weights are not positive.</exception>
    public GaussianMixtureBase(Tensor means, Tensor? scales = null, Tensor? weights = null, bool isLearned = true)
        : base(nameof(GaussianMixtureBase), CheckedFeatures(means))
    {
        if (scales is not null)
            Inputs.RequireAlive(scales, nameof(scales), "The tensor of scales");
        if (weights is not null)
            Inputs.RequireAlive(weights, nameof(weights), "The tensor of weights");
        if (scales?.is_floating_point() == false || weights?.is_floating_point() == false)
            throw new ArgumentException($"Scales and weights must be of a floating-point type, as the means are, {means.dtype}.",
                scales?.is_floating_point() == false ? nameof(scales) : nameof(weights));
        using DisposeScope scope = NewDisposeScope();
        scales ??= ones_like(means);
        weights ??= ones([means.shape[0]], means.dtype, means.device);
        if (!scales.shape.AsSpan().SequenceEqual(means.shape) || scales.le(Numbers.Zero).any().item<bool>())
            throw new ArgumentException(
                $"The scales have shape [{string.Join(", ", scales.shape)}]; "
                + $"they must be positive and of the means' shape [{string.Join(", ", means.shape)}].", nameof(scales));
        if (weights.dim() != 1 || weights.shape[0] != means.shape[0] || weights.le(Numbers.Zero).any().item<bool>())
            throw new ArgumentException(
                $"The weights have shape [{string.Join(", ", weights.shape)}]; "
                + $"they must be {means.shape[0]} positive numbers.", nameof(weights));
        Register("means", means, isLearned);
        Register("log_scales", scales.log(), isLearned);
        Register("logits", weights.log(), isLearned);
    }

    /// <summary>Number of Gaussians.</summary>
    public long Components => Means.shape[0];

    // A change of type or device makes new parameters: they are looked up.
    private Tensor Means => get_parameter("means")!;

    private Tensor LogScales => get_parameter("log_scales")!;

    private Tensor Logits => get_parameter("logits")!;

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor standard = (input.unsqueeze(1) - Means) / LogScales.exp();
        Tensor joint = (Gaussian.LogDensity(standard) - LogScales.sum(dim: 1L)).Plus(functional.log_softmax(Logits, 0));
        return joint.logsumexp(1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Sample(long count, Generator? generator = null)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor component = Draws.Places(functional.softmax(Logits, 0), count, generator);
        Tensor noise = Draws.Normal([count, Features], Means.dtype, Means.device, generator);
        return (noise * LogScales.exp().index_select(0, component)).Plus(Means.index_select(0, component)).MoveToOuterDisposeScope();
    }

    private static long CheckedFeatures(Tensor means)
    {
        Inputs.RequireAlive(means, nameof(means), "The tensor of means");
        if (!means.is_floating_point())
            throw new ArgumentException($"The means have type {means.dtype}; they must be of a floating-point type.", nameof(means));
        return means.dim() == 2 && means.numel() > 0
            ? means.shape[1]
            : throw new ArgumentException(
                $"The means have shape [{string.Join(", ", means.shape)}]; it must be [components, features].", nameof(means));
    }

    private void Register(string name, Tensor value, bool isLearned)
    {
        // The module owns its parameters, whatever scope it is made in.
        var parameter = new TorchSharp.Modules.Parameter(value.detach().clone().DetachFromDisposeScope(), isLearned);
        parameter.DetachFromDisposeScope();
        register_parameter(name, parameter);
    }
}
