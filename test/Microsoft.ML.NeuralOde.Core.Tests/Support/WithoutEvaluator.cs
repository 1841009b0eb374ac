namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>Dynamics behind a module that has no evaluator of its own, so that solvers and gradients go through torch.</summary>
internal sealed class WithoutEvaluator : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly nn.Module<Tensor, Tensor, Tensor> _inner;

    public WithoutEvaluator(nn.Module<Tensor, Tensor, Tensor> inner)
        : base(nameof(WithoutEvaluator))
    {
        _inner = inner;
        register_module("inner", inner);
    }

    public override Tensor forward(Tensor t, Tensor y) => _inner.call(t, y);
}
