using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The pullbacks of one right-hand side during one solve: analytic where it differentiates itself, through the graph elsewhere.
/// </summary>
internal sealed class PullbackSource : IDisposable
{
    private readonly IReadOnlyList<Tensor> _all;
    private IAnalyticDynamics? _analytic;
    private DynamicsEvaluator? _evaluator;
    private AnalyticPullback? _pullback;

    /// <param name="equation">f(t, y).</param>
    /// <param name="parameters">The parameters of f that need gradients.</param>
    public PullbackSource(VectorField equation, IReadOnlyList<Tensor> parameters)
    {
        Graph = new GraphPullback(equation, parameters);
        _analytic = equation.Analytic;
        _all = equation.Parameters;
    }

    /// <summary>The parameters of f that need gradients.</summary>
    public IReadOnlyList<Tensor> Parameters => Graph.Parameters;

    /// <summary>Through the autograd graph, which always works.</summary>
    public GraphPullback Graph { get; }

    /// <summary>The pullback for a state like this one.</summary>
    public Pullback For(Tensor state) => (Pullback?)AnalyticFor(state) ?? Graph;

    /// <summary>Without the graph; null where the right-hand side does not differentiate itself at states like this one.</summary>
    public AnalyticPullback? AnalyticFor(Tensor state)
    {
        if (_analytic is null || !state.is_contiguous())
            return null;
        if (_pullback is not null)
            return _pullback;
        _evaluator = _analytic.CreateEvaluator(state);
        if (_evaluator is not null)
            return _pullback = new AnalyticPullback(_evaluator, _all, Parameters);
        _analytic = null;
        return null;
    }

    /// <summary>To be called after the evaluations were disposed of.</summary>
    public void Dispose() => _evaluator?.Dispose();
}
