namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Evaluates the right-hand side so that its vector–Jacobian products can be asked for.</summary>
internal sealed class Pullback
{
    private readonly Func<Tensor, Tensor, Tensor> _function;
    private readonly Tensor[] _parameters;

    /// <param name="function">f(t, y).</param>
    /// <param name="parameters">The parameters of f that need gradients.</param>
    public Pullback(Func<Tensor, Tensor, Tensor> function, IReadOnlyList<Tensor> parameters)
    {
        _function = function;
        _parameters = [.. parameters];
    }

    /// <summary>f at a point, with what its derivatives need.</summary>
    public Evaluation Evaluate(Tensor time, Tensor state, bool withTime)
    {
        using IDisposable grad = enable_grad();
        Tensor y = state.detach().requires_grad_().DetachFromDisposeScope();
        Tensor t = time.detach().DetachFromDisposeScope();
        if (withTime)
            t.requires_grad_();
        Tensor value = Solving.RightHandSide.Own(_function, t, y);
        return new Evaluation(value, withTime ? [y, t, .. _parameters] : [y, .. _parameters], withTime, t);
    }

    /// <summary>The derivatives λᵀ ∂f/∂(y, t, θ); null where f does not depend on the argument.</summary>
    internal readonly record struct Cotangents(Tensor State, Tensor? Time, Tensor?[] Parameters);

    /// <summary>A value of f and the graph behind it.</summary>
    internal sealed class Evaluation : IDisposable
    {
        private readonly Tensor[] _inputs;
        private readonly bool _withTime;
        private readonly Tensor _time;
        private readonly Tensor _graph;

        public Evaluation(Tensor graph, Tensor[] inputs, bool withTime, Tensor time)
        {
            _graph = graph;
            _inputs = inputs;
            _withTime = withTime;
            _time = time;
            Value = graph.detach().DetachFromDisposeScope();
        }

        /// <summary>f, without graph, contiguous.</summary>
        public Tensor Value { get; }

        /// <summary>The vector–Jacobian products for one λ; can be asked for once. The results are the caller's.</summary>
        public Cotangents Pull(Tensor cotangent)
        {
            int first = _withTime ? 2 : 1;
            var parameters = new Tensor?[_inputs.Length - first];
            if (!_graph.requires_grad)
                return new Cotangents(zeros_like(_inputs[0]).DetachFromDisposeScope(), null, parameters);
            IList<Tensor> results = autograd.grad([_graph], _inputs, [cotangent], retain_graph: false, create_graph: false, allow_unused: true);
            Tensor state = Own(results[0], cotangent) ?? zeros_like(_inputs[0].detach()).DetachFromDisposeScope();
            for (int i = 0; i < parameters.Length; i++)
                parameters[i] = Own(results[first + i], cotangent);
            return new Cotangents(state, _withTime ? Own(results[1], cotangent) : null, parameters);
        }

        public void Dispose()
        {
            Value.Dispose();
            _graph.Dispose();
            _inputs[0].Dispose();
            _time.Dispose();
        }

        /// <summary>A derivative in contiguous memory of its own: autograd may hand λ itself on, whose memory is reused.</summary>
        private static Tensor? Own(Tensor? derivative, Tensor cotangent)
        {
            if (derivative is null || derivative.IsInvalid)
                return null;
            if (derivative.is_contiguous() && !Solving.RightHandSide.SharesMemory(derivative, cotangent))
                return derivative.DetachFromDisposeScope();
            using (derivative)
                return derivative.contiguous().clone().DetachFromDisposeScope();
        }
    }
}
