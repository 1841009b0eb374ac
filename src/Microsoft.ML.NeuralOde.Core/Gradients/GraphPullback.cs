using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Vector–Jacobian products through the autograd graph of each evaluation.</summary>
internal sealed class GraphPullback : Pullback
{
    private readonly VectorField _equation;
    private readonly Tensor[] _parameters;

    /// <param name="equation">f(t, y).</param>
    /// <param name="parameters">The parameters of f that need gradients.</param>
    public GraphPullback(VectorField equation, IReadOnlyList<Tensor> parameters)
    {
        _equation = equation;
        _parameters = [.. parameters];
    }

    /// <summary>The parameters of f that need gradients.</summary>
    public IReadOnlyList<Tensor> Parameters => _parameters;

    public override Evaluation Evaluate(double[] times, Clock clock, Tensor state, bool withTime)
    {
        using Tensor time = clock.Tensor(times);
        return Evaluate(time, state, withTime);
    }

    /// <summary>f at a point, with what its derivatives need.</summary>
    /// <param name="time">The time, or one a row.</param>
    /// <param name="state">The state.</param>
    /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
    public Evaluation Evaluate(Tensor time, Tensor state, bool withTime) => Evaluate(time, state.detach(), withTime, made: null);

    public override Evaluation EvaluateAdjoint(ReadOnlySpan<double> times, Tensor state, Tensor cotangent, Tensor value, Tensor rate)
    {
        using Tensor time = Numbers.Constant(times[0], state.dtype, state.device);
        Evaluation graph = Evaluate(time, state, withTime: false);
        using Tensor product = graph.PullState(cotangent, out _);
        graph.Value.bytes.CopyTo(value.bytes);
        StateKernels.Combine(rate, null, [-1], [product], lanes: 1);
        value.Dispose();
        return graph;
    }

    /// <summary>f for derivatives that are asked for when the memory of the state has changed.</summary>
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
        // The first state is the caller's; other memory than the kernels' is not used again.
        Tensor leaf = memory is not null || StateKernels.Supports(state) ? shared.clone() : shared.alias();
        GraphEvaluation evaluation = Evaluate(time, leaf, withTime, memory is null ? null : scope => known = memory.Estimate(scope, state));
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
        return new GraphEvaluation(_parameters, RightHandSide.Own(_equation, t, y, made), y, t, withTime);
    }

    private sealed class GraphEvaluation : Evaluation
    {
        private readonly Tensor[] _all;
        private readonly Tensor _graph;
        private readonly Tensor _state;
        private readonly Tensor _time;
        private readonly bool _withTime;
        private readonly Tensor?[] _parameters;
        private Tensor? _value;

        /// <param name="parameters">The parameters whose gradients are wanted.</param>
        /// <param name="graph">f with its graph.</param>
        /// <param name="state">The leaf of the state.</param>
        /// <param name="time">That of the time.</param>
        /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
        public GraphEvaluation(Tensor[] parameters, Tensor graph, Tensor state, Tensor time, bool withTime)
        {
            _all = parameters;
            _graph = graph;
            _state = state;
            _time = time;
            _withTime = withTime;
            _parameters = new Tensor?[parameters.Length];
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
            Tensor[] inputs = _withTime ? [_state, _time, .. _all] : [_state, .. _all];
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

        public override Evaluation Again(IReadOnlyList<Tensor> saved) =>
            new GraphEvaluation(_all, saved[0], saved[1], _withTime ? saved[2] : _time, _withTime);

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
}
