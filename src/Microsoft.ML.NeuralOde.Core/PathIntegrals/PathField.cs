using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>The right-hand side of a state with path integrals.</summary>
internal sealed class PathField : VectorField
{
    private readonly PathRate _rate;
    private readonly Func<Tensor, Tensor, Tensor> _guarded;

    /// <param name="dynamics">The dynamics of the state.</param>
    /// <param name="rate">The rate of the packed state.</param>
    public PathField(Module dynamics, PathRate rate)
    {
        _rate = rate;
        _guarded = UserFunction.RightHandSide(rate.Evaluate);
        Module = dynamics;
        Parameters = rate.Parameters;
    }

    public override IReadOnlyList<Tensor> Parameters { get; }

    public override IAnalyticDynamics? Analytic => _rate.Analytic;

    public override Module Module { get; }

    public override Tensor Evaluate(Tensor time, Tensor state) => _guarded(time, state);

    public override Tensor EvaluatePlainly(Tensor time, Tensor state) => _rate.Velocity(time, state);
}
