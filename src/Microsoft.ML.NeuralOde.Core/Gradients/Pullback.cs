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
        if (ModuleFunction.Of(function) is not { Analytic: { } analytic } module)
            return;
        _analytic = analytic;
        _parameterCount = module.Parameters.Count;
        _places = Array.ConvertAll(_parameters, parameter => Place(module.Parameters, parameter));

        static int Place(IReadOnlyList<Tensor> all, Tensor parameter)
        {
            for (int i = 0; i < all.Count; i++)
                if (ReferenceEquals(all[i], parameter))
                    return i;
            throw new InvalidOperationException("A parameter that needs a gradient is not one of the module's.");
        }
    }

    /// <summary>f at a point, with what its derivatives need.</summary>
    public Evaluation Evaluate(Tensor time, Tensor state, bool withTime)
    {
        if (_analytic is not null && state.is_contiguous())
        {
            _evaluator ??= _analytic.CreateEvaluator(state);
            if (_evaluator is not null)
                return new AnalyticEvaluation(this, _evaluator, time, state, withTime);
            _analytic = null;
        }
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

    /// <summary>The derivatives λᵀ ∂f/∂(y, t, θ); null where f does not depend on the argument.</summary>
    internal readonly record struct Cotangents(Tensor State, Tensor? Time, Tensor?[] Parameters);

    /// <summary>A value of f and what leads back from it.</summary>
    internal abstract class Evaluation : IDisposable
    {
        /// <summary>f, without graph, contiguous.</summary>
        public Tensor Value { get; protected init; } = null!;

        /// <summary>λᵀ ∂f/∂y, and λᵀ ∂f/∂t where it was asked for; can be asked for once. The results are the caller's.</summary>
        public abstract Tensor PullState(Tensor cotangent, out Tensor? time);

        /// <summary>Adds w λᵀ ∂f/∂θ of the λ that was pulled; can be asked for once.</summary>
        public abstract void AddParameters(ParameterSums sums, double weight = 1);

        /// <summary>All vector–Jacobian products for one λ; can be asked for once. The results are the caller's.</summary>
        public Cotangents Pull(Tensor cotangent)
        {
            Tensor state = PullState(cotangent, out Tensor? time);
            return new Cotangents(state, time, TakeParameters());
        }

        public virtual void Dispose() => Value.Dispose();

        /// <summary>λᵀ ∂f/∂θ as tensors of the caller's.</summary>
        protected abstract Tensor?[] TakeParameters();
    }

    private sealed class GraphEvaluation : Evaluation
    {
        private readonly Tensor[] _inputs;
        private readonly bool _withTime;
        private readonly Tensor _time;
        private readonly Tensor _graph;
        private Tensor?[] _parameters;

        public GraphEvaluation(Tensor graph, Tensor[] inputs, bool withTime, Tensor time)
        {
            _graph = graph;
            _inputs = inputs;
            _withTime = withTime;
            _time = time;
            _parameters = new Tensor?[inputs.Length - (withTime ? 2 : 1)];
            Value = graph.detach().DetachFromDisposeScope();
        }

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
            ParameterSums.Release(TakeParameters());
        }

        public override void Dispose()
        {
            base.Dispose();
            ParameterSums.Release(_parameters);
            _graph.Dispose();
            _inputs[0].Dispose();
            _time.Dispose();
        }

        protected override Tensor?[] TakeParameters()
        {
            Tensor?[] parameters = _parameters;
            _parameters = [];
            return parameters;
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
        private readonly DynamicsLinearization _linearization;
        private readonly long[] _timeShape;
        private readonly double[] _times;
        private readonly bool _withTime;

        public AnalyticEvaluation(Pullback owner, DynamicsEvaluator evaluator, Tensor time, Tensor state, bool withTime)
        {
            _owner = owner;
            _withTime = withTime;
            _timeShape = time.shape;
            using (Tensor numbers = time.detach().reshape(-1).to(ScalarType.Float64, CPU))
                _times = numbers.data<double>().ToArray();
            Value = empty_like(state.detach()).DetachFromDisposeScope();
            _linearization = evaluator.Linearize(_times, state, Value);
        }

        public override Tensor PullState(Tensor cotangent, out Tensor? time)
        {
            Tensor state = empty_like(Value).DetachFromDisposeScope();
            Span<double> times = _withTime ? _times : default;
            if (cotangent.is_contiguous())
            {
                _linearization.Pull(cotangent, state, times);
            }
            else
            {
                using Tensor contiguous = cotangent.contiguous();
                _linearization.Pull(contiguous, state, times);
            }
            time = _withTime ? tensor(_times, _timeShape, Value.dtype, Value.device).DetachFromDisposeScope() : null;
            return state;
        }

        public override void AddParameters(ParameterSums sums, double weight) => Add(sums.Tensors, weight);

        public override void Dispose()
        {
            base.Dispose();
            _linearization.Dispose();
        }

        protected override Tensor?[] TakeParameters()
        {
            Tensor[] parameters = Array.ConvertAll(_owner._parameters, parameter => zeros_like(parameter.detach()).DetachFromDisposeScope());
            Add(parameters, 1);
            return parameters;
        }

        private void Add(IReadOnlyList<Tensor> sums, double weight)
        {
            var gradients = new Tensor?[_owner._parameterCount];
            for (int i = 0; i < sums.Count; i++)
                gradients[_owner._places[i]] = sums[i];
            _linearization.AddParameterGradients(weight, gradients);
        }
    }
}
