using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The equation that is solved on the way back, d(y, λ)/dt = (f, −λᵀ ∂f/∂y), for states of shape <c>[2, …]</c>. What the parameters'
/// gradients need is kept beside each value until the step is accepted.
/// </summary>
internal sealed class AdjointSystem : VectorField, IAnalyticDynamics, IDisposable
{
    private readonly PullbackSource _pullbacks;
    private readonly EvaluationsByValue _evaluations = new();

    /// <param name="equation">f(t, y).</param>
    /// <param name="parameters">The parameters of f that need gradients.</param>
    public AdjointSystem(VectorField equation, IReadOnlyList<Tensor> parameters) => _pullbacks = new PullbackSource(equation, parameters);

    /// <summary>None: gradients are sums of our own.</summary>
    public override IReadOnlyList<Tensor> Parameters => [];

    public override IAnalyticDynamics Analytic => this;

    /// <summary>Adds w λᵀ ∂f/∂θ at the place where the right-hand side had this value.</summary>
    public void AddParameters(Tensor value, ParameterSums sums, double weight) => _evaluations[value].AddParameters(sums, weight);

    /// <summary>Lets go of what is kept beside all values but one.</summary>
    public void Forget(Tensor? except) => _evaluations.Clear(except);

    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        using Tensor y = state.select(0, 0);
        return _pullbacks.AnalyticFor(y) is not null || StateKernels.Supports(state) ? new Evaluator(this) : null;
    }

    public void Dispose()
    {
        Forget(null);
        _pullbacks.Dispose();
    }

    /// <summary>By tensor operations.</summary>
    public override Tensor Evaluate(Tensor time, Tensor augmented)
    {
        using Tensor y = augmented.select(0, 0);
        using Tensor lambda = augmented.select(0, 1);
        Pullback.Evaluation evaluation = _pullbacks.Graph.Evaluate(time, y, withTime: false);
        using Tensor product = evaluation.PullState(lambda, out _);
        using Tensor rate = product.neg();
        Tensor result = stack([evaluation.Value, rate]);
        _evaluations.Add(result, evaluation);
        return result;
    }

    /// <summary>In given memory.</summary>
    private sealed class Evaluator(AdjointSystem system) : DynamicsEvaluator
    {
        public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
        {
            using Tensor y = state.select(0, 0);
            using Tensor lambda = state.select(0, 1);
            using Tensor rate = derivative.select(0, 1);
            Tensor value = derivative.select(0, 0).DetachFromDisposeScope();
            system._evaluations.Add(derivative, system._pullbacks.For(y).EvaluateAdjoint(times, y, lambda, value, rate));
        }

        public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative) =>
            throw new InvalidOperationException("The adjoint equation is solved without derivatives of its own.");
    }
}
