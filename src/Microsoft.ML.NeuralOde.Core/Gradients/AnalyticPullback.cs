using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Vector–Jacobian products that the right-hand side computes itself, see <see cref="IAnalyticDynamics"/>.</summary>
internal sealed class AnalyticPullback : Pullback
{
    /// <summary>Where each parameter that needs a gradient stands among all.</summary>
    private readonly int[] _places;
    private readonly int _count;

    /// <param name="evaluator">What the right-hand side differentiates itself with; stays the caller's.</param>
    /// <param name="all">The parameters in the order in which it gives their gradients.</param>
    /// <param name="parameters">Those that need gradients.</param>
    public AnalyticPullback(DynamicsEvaluator evaluator, IReadOnlyList<Tensor> all, IReadOnlyList<Tensor> parameters)
    {
        Evaluator = evaluator;
        _count = all.Count;
        _places = [.. parameters.Select(Place)];

        int Place(Tensor parameter)
        {
            for (int i = 0; i < all.Count; i++)
                if (ReferenceEquals(all[i], parameter))
                    return i;
            throw new InvalidOperationException("A parameter that needs a gradient is not one of the right-hand side's.");
        }
    }

    /// <summary>What the right-hand side evaluates and differentiates itself with.</summary>
    public DynamicsEvaluator Evaluator { get; }

    public override Evaluation Evaluate(double[] times, Clock clock, Tensor state, bool withTime)
    {
        Tensor value = empty_like(state).DetachFromDisposeScope();
        return new AnalyticEvaluation(this, times, state, value, value, withTime);
    }

    public override Evaluation EvaluateAdjoint(ReadOnlySpan<double> times, Tensor state, Tensor cotangent, Tensor value, Tensor rate)
    {
        var evaluation = new AnalyticEvaluation(this, times, state, value, value, withTime: false);
        evaluation.Pull(cotangent, rate);
        rate.neg_().Dispose();
        return evaluation;
    }

    /// <summary>f for derivatives that are asked for when the memory of state and value has changed.</summary>
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

    private sealed class AnalyticEvaluation : Evaluation
    {
        private readonly AnalyticPullback _owner;
        private readonly double[] _timeGradients;
        private DynamicsLinearization? _linearization;
        private readonly Tensor? _value;

        /// <param name="owner">What it belongs to.</param>
        /// <param name="times">The time, or one a row.</param>
        /// <param name="state">The state.</param>
        /// <param name="derivative">Where f is written.</param>
        /// <param name="value">What becomes the evaluation's value; null where nobody asks for it.</param>
        /// <param name="withTime">Whether derivatives with respect to the times are wanted.</param>
        public AnalyticEvaluation(
            AnalyticPullback owner, ReadOnlySpan<double> times, Tensor state, Tensor derivative, Tensor? value, bool withTime)
        {
            _owner = owner;
            _value = value;
            _timeGradients = withTime ? new double[times.Length] : [];
            _linearization = owner.Evaluator.Linearize(times, state, derivative);
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
            var gradients = new Tensor?[_owner._count];
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
