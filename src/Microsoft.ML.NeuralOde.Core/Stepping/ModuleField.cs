using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>A right-hand side that is a module.</summary>
internal sealed class ModuleField : VectorField
{
    private readonly Func<Tensor, Tensor, Tensor> _forward;

    /// <exception cref="ArgumentException">A group normalisation in the module has weights that nobody set.</exception>
    public ModuleField(Module<Tensor, Tensor, Tensor> module)
    {
        _forward = UserFunction.RightHandSide(module.call);
        Module = module;
        Parameters = [.. module.parameters()];
        Analytic = module as IAnalyticDynamics;
        if (Analytic is null)
            GroupNormWeights.Check(module);
    }

    public override IReadOnlyList<Tensor> Parameters { get; }

    public override IAnalyticDynamics? Analytic { get; }

    public override Module Module { get; }

    public override Tensor Evaluate(Tensor time, Tensor state) => _forward(time, state);
}
