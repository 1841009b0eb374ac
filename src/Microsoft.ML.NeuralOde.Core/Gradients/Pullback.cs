using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Evaluates the right-hand side so that its vector–Jacobian products can be asked for: through the autograd graph, or by the right-hand side
/// itself where it is <see cref="IAnalyticDynamics"/>.
/// </summary>
internal sealed class Pullback : IDisposable
{
    private readonly Func<Tensor, Tensor, Tensor> _function;
    private readonly Tensor[] _parameters;
    private readonly int[] _places = [];
    private readonly int _parameterCount;
    private IAnalyticDynamics? _analytic;
    private DynamicsEvaluator? _evaluator;

    /// <param name="function">f(t, y).</param>
    /// <param name="parameters">The parameters of f that need gradients.</param>
    public Pullback(Func<Tensor, Tensor, Tensor> function, IReadOnlyList<Tensor> parameters)
    {
        _function = function;
        _parameters = [.. parameters];
        if (KnownFunction.Of(function) is not { Analytic: { } analytic } known)
            return;
        _analytic = analytic;
        _parameterCount = known.Parameters.Count;
        _places = Array.ConvertAll(_parameters, parameter => Place(known.Parameters, parameter));

        static int Place(IReadOnlyList<Tensor> all, Tensor parameter)
        {
            for (int i = 0; i < all.Count; i++)
                if (ReferenceEquals(all[i], parameter))
                    return i;
            throw new InvalidOperationException("A parameter that needs a gradient is not one of the right-hand side's.");
        }
    }

    /// <summary>Whether the right-hand side differentiates itself at states like this one.</summary>
    public bool IsAnalytic(Tensor state)
    {
        if (_analytic is null || !state.is_contiguous())
            return false;
        _evaluator ??= _analytic.CreateEvaluator(state);
        if (_evaluator is null)
            _analytic = null;
        return _evaluator is not null;
    }

    /// <summary>
    /// f at a point where it <see cref="IsAnalytic"/>, written to <paramref name="value"/>, and −λᵀ ∂f/∂y, written to <paramref name="rate"/>.
    /// </summary>
    public Evaluation EvaluateAdjoint(ReadOnlySpan<double> times, Tensor state, Tensor cotangent, Tensor value, Tensor rate)
    {
        var evaluation = new AnalyticEvaluation(this, times, state, value, withTime: false);
        evaluation.Pull(cotangent, rate);
        rate.neg_().Dispose();
        return evaluation;
    }

    /// <summary>f at a point, with what its derivatives need.</summary>
    /// <param name="times">The time, or one a row, as numbers.</param>
    /// <param name="clock">Makes a tensor of them where one is needed.</param>
    /// <param name="state">The state.</param>
    /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
    public Evaluation Evaluate(double[] times, Clock clock, Tensor state, bool withTime)
    {
        if (IsAnalytic(state))
            return new AnalyticEvaluation(this, times, state, empty_like(state).DetachFromDisposeScope(), withTime);
        using Tensor time = clock.Tensor(times);
        return Evaluate(time, state, withTime);
    }

    /// <summary>The same through the autograd graph.</summary>
    public Evaluation Evaluate(Tensor time, Tensor state, bool withTime)
    {
        using IDisposable grad = enable_grad();
        Tensor y = state.detach().requires_grad_().DetachFromDisposeScope();
        Tensor t = time.detach().DetachFromDisposeScope();
        if (withTime)
            t.requires_grad_();
        Tensor value = RightHandSide.Own(_function, t, y);
        return new GraphEvaluation(value, withTime ? [y, t, .. _parameters] : [y, .. _parameters], withTime, t);
    }

    /// <summary>To be called after the evaluations were disposed of.</summary>
    public void Dispose() => _evaluator?.Dispose();

    /// <summary>A value of f and what leads back from it.</summary>
    internal abstract class Evaluation : IDisposable
    {
        /// <summary>f, without graph, contiguous.</summary>
        public Tensor Value { get; protected init; } = null!;

        /// <summary>Whether the memory of the state must not change before <see cref="PullState"/>.</summary>
        public abstract bool ReadsState { get; }

        /// <summary>λᵀ ∂f/∂y, and λᵀ ∂f/∂t where it was asked for; can be asked for once. The results are the caller's.</summary>
        public abstract Tensor PullState(Tensor cotangent, out Tensor? time);

        /// <summary>Adds w λᵀ ∂f/∂θ of the λ that was pulled; can be asked for once.</summary>
        public abstract void AddParameters(ParameterSums sums, double weight = 1);

        /// <summary>Lets go of what derivatives need: no more of them will be asked for, only the value.</summary>
        public abstract void Close();

        public void Dispose()
        {
            Close();
            Value.Dispose();
        }
    }

    private sealed class GraphEvaluation : Evaluation
    {
        private readonly Tensor[] _inputs;
        private readonly bool _withTime;
        private readonly Tensor _time;
        private readonly Tensor _graph;
        private readonly Tensor?[] _parameters;

        public GraphEvaluation(Tensor graph, Tensor[] inputs, bool withTime, Tensor time)
        {
            _graph = graph;
            _inputs = inputs;
            _withTime = withTime;
            _time = time;
            _parameters = new Tensor?[inputs.Length - (withTime ? 2 : 1)];
            Value = graph.detach().DetachFromDisposeScope();
        }

        public override bool ReadsState => true;

        public override Tensor PullState(Tensor cotangent, out Tensor? time)
        {
            time = null;
            if (!_graph.requires_grad)
                return zeros_like(_inputs[0]).DetachFromDisposeScope();
            IList<Tensor> results = autograd.grad([_graph], _inputs, [cotangent], retain_graph: false, create_graph: false, allow_unused: true);
            Tensor state = Own(results[0], cotangent) ?? zeros_like(_inputs[0].detach()).DetachFromDisposeScope();
            int first = _withTime ? 2 : 1;
            for (int i = 0; i < _parameters.Length; i++)
                _parameters[i] = Own(results[first + i], cotangent);
            time = _withTime ? Own(results[1], cotangent) : null;
            return state;
        }

        public override void AddParameters(ParameterSums sums, double weight)
        {
            sums.Add(_parameters, weight);
            ParameterSums.Release(_parameters);
            Array.Clear(_parameters);
        }

        public override void Close()
        {
            ParameterSums.Release(_parameters);
            _graph.Dispose();
            _inputs[0].Dispose();
            _time.Dispose();
        }

        /// <summary>A derivative in contiguous memory of its own: autograd may hand λ itself on, whose memory is reused.</summary>
        private static Tensor? Own(Tensor? derivative, Tensor cotangent)
        {
            if (derivative is null || derivative.IsInvalid)
                return null;
            if (derivative.is_contiguous() && !RightHandSide.SharesMemory(derivative, cotangent))
                return derivative.DetachFromDisposeScope();
            using (derivative)
                return derivative.contiguous().clone().DetachFromDisposeScope();
        }
    }

    private sealed class AnalyticEvaluation : Evaluation
    {
        private readonly Pullback _owner;
        private readonly double[] _timeGradients;
        private DynamicsLinearization? _linearization;

        public AnalyticEvaluation(Pullback owner, ReadOnlySpan<double> times, Tensor state, Tensor value, bool withTime)
        {
            _owner = owner;
            _timeGradients = withTime ? new double[times.Length] : [];
            Value = value;
            _linearization = owner._evaluator!.Linearize(times, state, value);
        }

        public override bool ReadsState => false;

        public override Tensor PullState(Tensor cotangent, out Tensor? time)
        {
            Tensor state = empty_like(Value).DetachFromDisposeScope();
            Pull(cotangent, state);
            time = _timeGradients.Length > 0 ? tensor(_timeGradients).DetachFromDisposeScope() : null;
            return state;
        }

        public void Pull(Tensor cotangent, Tensor state)
        {
            using Tensor contiguous = cotangent.contiguous();
            _linearization!.Pull(contiguous, state, _timeGradients);
        }

        public override void AddParameters(ParameterSums sums, double weight)
        {
            var gradients = new Tensor?[_owner._parameterCount];
            for (int i = 0; i < _owner._places.Length; i++)
                gradients[_owner._places[i]] = sums.Tensors[i];
            _linearization!.AddParameterGradients(weight, gradients);
        }

        public override void Close()
        {
            // It may belong to another evaluation already.
            _linearization?.Dispose();
            _linearization = null;
        }
    }
}
