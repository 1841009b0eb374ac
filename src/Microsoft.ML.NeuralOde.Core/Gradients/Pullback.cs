using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

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

    /// <summary>The parameters of f that need gradients.</summary>
    public IReadOnlyList<Tensor> Parameters => _parameters;

    /// <summary>Whether the right-hand side differentiates itself at states like this one.</summary>
    public bool IsAnalytic(Tensor state) => EvaluatorFor(state) is not null;

    /// <summary>What it differentiates itself with; null where it does not. Stays this object's.</summary>
    public DynamicsEvaluator? EvaluatorFor(Tensor state)
    {
        if (_analytic is null || !state.is_contiguous())
            return null;
        _evaluator ??= _analytic.CreateEvaluator(state);
        if (_evaluator is null)
            _analytic = null;
        return _evaluator;
    }

    /// <summary>
    /// f at a point in memory that the kernels work on, written to <paramref name="value"/>, and −λᵀ ∂f/∂y, written to <paramref name="rate"/>. Derivatives
    /// of the parameters may be added from what is returned.
    /// </summary>
    public Evaluation EvaluateAdjoint(ReadOnlySpan<double> times, Tensor state, Tensor cotangent, Tensor value, Tensor rate)
    {
        if (!IsAnalytic(state))
        {
            using Tensor time = tensor(times[0], state.dtype, state.device);
            Evaluation graph = Evaluate(time, state, withTime: false);
            using Tensor product = graph.PullState(cotangent, out _);
            graph.Value.bytes.CopyTo(value.bytes);
            StateKernels.Combine(rate, null, [-1], [product], lanes: 1);
            value.Dispose();
            return graph;
        }
        var evaluation = new AnalyticEvaluation(this, times, state, value, value, withTime: false);
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
        if (!IsAnalytic(state))
        {
            using Tensor time = clock.Tensor(times);
            return Evaluate(time, state, withTime);
        }
        Tensor value = empty_like(state).DetachFromDisposeScope();
        return new AnalyticEvaluation(this, times, state, value, value, withTime);
    }

    /// <summary>The same through the autograd graph.</summary>
    public Evaluation Evaluate(Tensor time, Tensor state, bool withTime) => Evaluate(time, state.detach(), withTime, made: null);

    /// <summary>f where it <see cref="IsAnalytic"/>, for derivatives that are asked for when the memory of state and value has changed.</summary>
    /// <param name="times">The time, or one a row, as numbers.</param>
    /// <param name="state">The state.</param>
    /// <param name="value">Where f is written.</param>
    /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
    /// <param name="withValue">Whether the evaluation's own value is.</param>
    public Evaluation Record(ReadOnlySpan<double> times, Tensor state, Tensor value, bool withTime, bool withValue)
    {
        Tensor? own = withValue ? empty_like(value).DetachFromDisposeScope() : null;
        var evaluation = new AnalyticEvaluation(this, times, state, value, own, withTime);
        own?.copy_(value);
        return evaluation;
    }

    /// <summary>The same through the autograd graph.</summary>
    /// <param name="time">The time, or one a row.</param>
    /// <param name="state">The state.</param>
    /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
    /// <param name="bytes">What evaluations of this size hold; 0 where that is not known yet.</param>
    /// <param name="value">f, the caller's.</param>
    public Evaluation Record(Tensor time, Tensor state, bool withTime, ref long bytes, out Tensor value)
    {
        long known = bytes;
        using Tensor shared = state.detach();
        GraphMemory? memory = known == 0 ? new GraphMemory() : null;
        GraphEvaluation evaluation = Evaluate(
            time, shared.clone(), withTime, memory is null ? null : scope => known = memory.Estimate(scope, state));
        evaluation.HeldBytes = bytes = known;
        value = evaluation.NewValue();
        return evaluation;
    }

    private GraphEvaluation Evaluate(Tensor time, Tensor leaf, bool withTime, Action<DisposeScope>? made)
    {
        using IDisposable grad = enable_grad();
        Tensor y = leaf.requires_grad_().DetachFromDisposeScope();
        Tensor t = time.detach().DetachFromDisposeScope();
        if (withTime)
            t.requires_grad_();
        return new GraphEvaluation(this, RightHandSide.Own(_function, t, y, made), y, t, withTime);
    }

    /// <summary>To be called after the evaluations were disposed of.</summary>
    public void Dispose() => _evaluator?.Dispose();

    /// <summary>A value of f and what leads back from it.</summary>
    internal abstract class Evaluation : IDisposable
    {
        /// <summary>f, without graph, contiguous.</summary>
        public abstract Tensor Value { get; }

        /// <summary>Whether the memory of the state must not change before <see cref="PullState"/>.</summary>
        public abstract bool ReadsState { get; }

        /// <summary>About how much memory it holds; null where that is unknown.</summary>
        public abstract long? Bytes { get; }

        /// <summary>Tensors that an autograd node may hold in its stead, until it is made <see cref="Again"/>; none where it must live on itself.</summary>
        public virtual IReadOnlyList<Tensor> Saved => [];

        /// <summary>λᵀ ∂f/∂y, and λᵀ ∂f/∂t where it was asked for; can be asked for once. The results are the caller's.</summary>
        public abstract Tensor PullState(Tensor cotangent, out Tensor? time);

        /// <summary>Adds w λᵀ ∂f/∂θ of the λ that was pulled; can be asked for once.</summary>
        public abstract void AddParameters(ParameterSums sums, double weight = 1);

        /// <summary>Lets go of what derivatives need: no more of them will be asked for, only the value.</summary>
        public abstract void Close();

        /// <summary>The evaluation, with the tensors that were <see cref="Saved"/> in its stead.</summary>
        public virtual Evaluation Again(IReadOnlyList<Tensor> saved) => this;

        public abstract void Dispose();
    }

    private sealed class GraphEvaluation : Evaluation
    {
        private readonly Pullback _owner;
        private readonly Tensor _graph;
        private readonly Tensor _state;
        private readonly Tensor _time;
        private readonly bool _withTime;
        private readonly Tensor?[] _parameters;
        private Tensor? _value;

        public GraphEvaluation(Pullback owner, Tensor graph, Tensor state, Tensor time, bool withTime)
        {
            _owner = owner;
            _graph = graph;
            _state = state;
            _time = time;
            _withTime = withTime;
            _parameters = new Tensor?[owner._parameters.Length];
        }

        public override Tensor Value => _value ??= NewValue().DetachFromDisposeScope();

        public override bool ReadsState => true;

        public override long? Bytes => HeldBytes;

        /// <summary>An estimate of what the graph holds.</summary>
        public long HeldBytes { get; set; }

        public override IReadOnlyList<Tensor> Saved => _withTime ? [_graph, _state, _time] : [_graph, _state];

        /// <summary>f without graph, in the current scope.</summary>
        public Tensor NewValue() => _graph.detach();

        public override Tensor PullState(Tensor cotangent, out Tensor? time)
        {
            time = null;
            Tensor[] inputs = _withTime ? [_state, _time, .. _owner._parameters] : [_state, .. _owner._parameters];
            Tensor?[] results = Autograd.Pull("the right-hand side", [_graph], inputs, [cotangent]);
            Tensor state = Own(results[0], cotangent) ?? zeros_like(_state.detach()).DetachFromDisposeScope();
            int first = inputs.Length - _parameters.Length;
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
            _state.Dispose();
            _time.Dispose();
        }

        public override Evaluation Again(IReadOnlyList<Tensor> saved) => new GraphEvaluation(_owner, saved[0], saved[1], _withTime ? saved[2] : _time, _withTime);

        public override void Dispose()
        {
            Close();
            _value?.Dispose();
        }

        /// <summary>A derivative in contiguous memory of its own: autograd may hand λ itself on, whose memory is reused.</summary>
        private static Tensor? Own(Tensor? derivative, Tensor cotangent)
        {
            if (derivative is null)
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
        private readonly Tensor? _value;

        /// <param name="owner">What it belongs to.</param>
        /// <param name="times">The time, or one a row.</param>
        /// <param name="state">The state.</param>
        /// <param name="derivative">Where f is written.</param>
        /// <param name="value">What becomes the evaluation's value; null where nobody asks for it.</param>
        /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
        public AnalyticEvaluation(Pullback owner, ReadOnlySpan<double> times, Tensor state, Tensor derivative, Tensor? value, bool withTime)
        {
            _owner = owner;
            _value = value;
            _timeGradients = withTime ? new double[times.Length] : [];
            _linearization = owner._evaluator!.Linearize(times, state, derivative);
        }

        public override Tensor Value => _value!;

        public override bool ReadsState => false;

        public override long? Bytes => _linearization?.MemoryBytes;

        public override Tensor PullState(Tensor cotangent, out Tensor? time)
        {
            Tensor state = empty_like(cotangent).DetachFromDisposeScope();
            Pull(cotangent, state);
            time = _timeGradients.Length > 0 ? tensor(_timeGradients, device: CPU).DetachFromDisposeScope() : null;
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

        public override void Dispose()
        {
            Close();
            _value?.Dispose();
        }
    }
}
