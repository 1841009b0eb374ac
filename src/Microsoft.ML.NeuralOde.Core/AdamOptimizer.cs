using Microsoft.ML.NeuralOde.Fitting;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Adam for training loops of your own, with decoupled weight decay (D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015;
/// I. Loshchilov, F. Hutter, Decoupled weight decay regularization, 2019).
/// </summary>
/// <remarks>
/// The same steps as <c>torch.optim.AdamW</c>, up to rounding, in one pass over the memory of each parameter where that is float32 or float64
/// on the processor; elsewhere by operations of torch, each on all parameters together. Unlike TorchSharp's optimizers it may be used beside
/// threads that collect garbage, such as those of a server or of another training. Not for several threads at once.
/// </remarks>
/// <example>
/// <code>
/// using var optimizer = new AdamOptimizer(network.parameters(), learningRate: 0.01);
/// for (int step = 0; step &lt; 200; step++)
/// {
///     using DisposeScope scope = NewDisposeScope();
///     optimizer.ZeroGradients();
///     Loss(network).backward();
///     optimizer.Step();
/// }
/// </code>
/// </example>
public sealed class AdamOptimizer : IDisposable
{
    private readonly (Parameter Parameter, AdamMoments Moments)[] _weights;
    private readonly double _weightDecay;
    private double _learningRate;
    private bool _isDisposed;

    /// <summary>Creates the optimizer.</summary>
    /// <param name="parameters">
    /// What is trained, on the device where it stays: moving a module replaces its parameters. Those that require no gradient are left alone.
    /// </param>
    /// <param name="learningRate">The size of a step, from 0 on.</param>
    /// <param name="weightDecay">What parameters shrink by in each step, times the learning rate; 0, the default, for nothing.</param>
    /// <param name="beta1">How much of the mean gradient stays in each step, from 0 to below 1.</param>
    /// <param name="beta2">How much of the mean of its squares stays, from 0 to below 1.</param>
    /// <param name="epsilon">What is added to the root of that mean, above 0.</param>
    /// <exception cref="ArgumentException">There is no parameter that requires a gradient, or one stands there twice.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is not in its range.</exception>
    public AdamOptimizer(
        IEnumerable<Parameter> parameters, double learningRate = 1e-3, double weightDecay = 0, double beta1 = 0.9, double beta2 = 0.999,
        double epsilon = 1e-8)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        LearningRate = learningRate;
        Require(weightDecay >= 0 && double.IsFinite(weightDecay), nameof(weightDecay), weightDecay, "a number from 0 on");
        Require(beta1 is >= 0 and < 1, nameof(beta1), beta1, "a number from 0 to below 1");
        Require(beta2 is >= 0 and < 1, nameof(beta2), beta2, "a number from 0 to below 1");
        Require(epsilon > 0 && double.IsFinite(epsilon), nameof(epsilon), epsilon, "a number above 0");
        _weightDecay = weightDecay;
        Parameter[] trained = [.. parameters.Where(parameter => parameter.requires_grad)];
        if (trained.Length == 0)
            throw new ArgumentException("There is no parameter that requires a gradient.", nameof(parameters));
        if (trained.Distinct(ReferenceEqualityComparer.Instance).Count() < trained.Length)
            throw new ArgumentException("A parameter stands there twice, and would make two steps for one.", nameof(parameters));
        _weights = [.. trained.Select(parameter => (parameter, new AdamMoments(parameter, beta1, beta2, epsilon)))];
    }

    /// <summary>The size of a step, from 0 on; may change from step to step.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or not finite.</exception>
    public double LearningRate
    {
        get => _learningRate;
        set
        {
            Require(value >= 0 && double.IsFinite(value), nameof(LearningRate), value, "a number from 0 on");
            _learningRate = value;
        }
    }

    /// <summary>Sets all gradients to zero, before a backward pass.</summary>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed of.</exception>
    public void ZeroGradients()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        using DisposeScope scope = NewDisposeScope();
        TensorLists.Zero([.. Gradients().Select(one => one.Gradient)]);
    }

    /// <summary>Moves each parameter that has a gradient against it.</summary>
    /// <exception cref="InvalidOperationException">No parameter has a gradient, because none was computed, or because the module was moved to
    /// another device, which replaced them.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed of.</exception>
    public void Step()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        using DisposeScope scope = NewDisposeScope();
        List<(AdamMoments Moments, Tensor Gradient)> gradients = Gradients();
        if (gradients.Count == 0)
            throw new InvalidOperationException(
                "No parameter has a gradient: call backward() before, and make the optimizer after the module was moved to its device, which "
                + "replaces its parameters.");
        AdamMoments.Follow(gradients, LearningRate, _weightDecay);
    }

    /// <summary>Frees what is remembered of gradients; the parameters stay.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        foreach ((_, AdamMoments moments) in _weights)
            moments.Dispose();
    }

    /// <summary>The gradients there are, in the current scope.</summary>
    private List<(AdamMoments Moments, Tensor Gradient)> Gradients()
    {
        var gradients = new List<(AdamMoments, Tensor)>(_weights.Length);
        foreach ((Parameter parameter, AdamMoments moments) in _weights)
            if (parameter.grad is { } gradient)
                gradients.Add((moments, gradient));
        return gradients;
    }

    private static void Require(bool condition, string name, double value, string wanted)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be {wanted}.");
    }
}
