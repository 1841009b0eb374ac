using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>A module as a right-hand side: the function that goes through the solver, from which what else the module can do is found again.</summary>
internal sealed class ModuleFunction
{
    private readonly Module<Tensor, Tensor, Tensor> _module;

    public ModuleFunction(Module<Tensor, Tensor, Tensor> module)
    {
        _module = module;
        Parameters = [.. module.parameters()];
        Function = Call;
    }

    /// <summary>f(t, y).</summary>
    public Func<Tensor, Tensor, Tensor> Function { get; }

    /// <summary>The module's parameters.</summary>
    public IReadOnlyList<Tensor> Parameters { get; }

    /// <summary>The module as a right-hand side with derivatives of its own; null where it is none.</summary>
    public IAnalyticDynamics? Analytic => _module as IAnalyticDynamics;

    /// <summary>The module behind a function; null where it is another function.</summary>
    public static ModuleFunction? Of(Func<Tensor, Tensor, Tensor> function) => function.Target as ModuleFunction;

    private Tensor Call(Tensor time, Tensor state) => _module.call(time, state);
}
