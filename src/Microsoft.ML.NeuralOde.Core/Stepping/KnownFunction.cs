using Microsoft.ML.NeuralOde.Dynamics;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// A right-hand side of which more is known than its values. It goes through the solver as a function, from which the rest is found again.
/// </summary>
internal sealed class KnownFunction
{
    private readonly Func<Tensor, Tensor, Tensor> _forward;

    public KnownFunction(Module<Tensor, Tensor, Tensor> module)
        : this(UserFunction.RightHandSide(module.call), [.. module.parameters()], module as IAnalyticDynamics)
    {
        Module = module;
        if (Analytic is null)
            GroupNormWeights.Check(module);
    }

    public KnownFunction(Func<Tensor, Tensor, Tensor> forward, IReadOnlyList<Tensor> parameters, IAnalyticDynamics? analytic)
    {
        _forward = forward;
        Parameters = parameters;
        Analytic = analytic;
        Function = Call;
    }

    /// <summary>f(t, y).</summary>
    public Func<Tensor, Tensor, Tensor> Function { get; }

    /// <summary>What f depends on besides, in the order in which <see cref="Analytic"/> gives their gradients.</summary>
    public IReadOnlyList<Tensor> Parameters { get; }

    /// <summary>f as a right-hand side with derivatives of its own; null where it is none.</summary>
    public IAnalyticDynamics? Analytic { get; }

    /// <summary>The module that f belongs to; null where there is none.</summary>
    public Module? Module { get; init; }

    /// <summary>f as far as its dependence on tensors goes, without derivatives that it computes on the way: those require gradients by themselves.</summary>
    public Func<Tensor, Tensor, Tensor>? Plain { get; init; }

    /// <summary>Whether <see cref="Parameters"/> are sure to be all that f depends on, and f is sure to draw no random numbers.</summary>
    public bool IsComplete => Module is DenseDynamics or ConvolutionalDynamics;

    /// <summary>What is known of a function; null for nothing.</summary>
    public static KnownFunction? Of(Func<Tensor, Tensor, Tensor> function) => function.Target as KnownFunction;

    private Tensor Call(Tensor time, Tensor state) => _forward(time, state);
}
