using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Evaluates the right-hand side during a solve so that derivatives can be asked for afterwards, and keeps those evaluations that accepted
/// steps are made of as long as they fit into a budget: they need not be made again on the way back.
/// </summary>
/// <remarks>The first steps are the ones that are kept: from the step on that does not fit, the solve goes on without graphs.</remarks>
internal sealed class EvaluationRecorder
{
    private readonly VectorField _equation;
    private readonly bool _withTime;
    private readonly bool _withValue;
    private readonly EvaluationsByValue _pending = new();
    private long _budget;
    private long _bytes;
    private bool _isRecording = true;

    private EvaluationRecorder(OdeProblem problem, IReadOnlyList<Tensor> parameters, long budget)
    {
        _equation = problem.Equation;
        _withTime = problem.TimesRequireGradient;
        // Outputs inside adaptive steps, gradients of times and what steps cost are made of the derivatives themselves.
        _withValue = _withTime || problem.Penalty is not null || (problem.Grid.Count > 2 && problem.Options.StepSize is null);
        _budget = budget;
        Pullbacks = new PullbackSource(problem.Equation, parameters);
        Equation = new RecordedField(this);
    }

    /// <summary>f(t, y), to be solved with.</summary>
    public VectorField Equation { get; }

    /// <summary>What the evaluations belong to.</summary>
    public PullbackSource Pullbacks { get; }

    /// <summary>
    /// A recorder for a solve by explicit Runge–Kutta steps of the whole batch; null for others, and where nothing may be kept.
    /// </summary>
    public static EvaluationRecorder? For(OdeProblem problem, long budget)
    {
        bool hasSuchSteps = problem.Options.Method.ExplicitTableau is not null && !problem.Options.PerRow;
        return hasSuchSteps && budget > 0
            ? new EvaluationRecorder(problem, [.. problem.Parameters.Where(parameter => parameter.requires_grad)], budget)
            : null;
    }

    /// <summary>
    /// The evaluations that a step about to be accepted is made of, which are the caller's; none where they are not to be kept.
    /// </summary>
    public Pullback.Evaluation[] Claim(AcceptedStep step)
    {
        if (!_isRecording)
            return [];
        StepStages made = step.Stepper.Stages;
        var stages = new Pullback.Evaluation[made.SolutionCount];
        for (int i = 0; i < stages.Length; i++)
        {
            stages[i] = _pending[made.Derivatives[i]];
            _budget -= Math.Min(_budget + 1, stages[i].Bytes ?? long.MaxValue);
        }
        if (_budget < 0)
        {
            Finish();
            return [];
        }
        for (int i = 0; i < stages.Length; i++)
            _pending.Remove(made.Derivatives[i]);
        return stages;
    }

    /// <summary>Ends the recording and lets go of what no step claimed.</summary>
    public void Finish()
    {
        _isRecording = false;
        _pending.Clear();
    }

    private Tensor Evaluate(Tensor time, Tensor state)
    {
        if (!_isRecording)
            return _equation.Evaluate(time, state);
        Pullback.Evaluation evaluation = Pullbacks.Graph.Record(time, state, _withTime, ref _bytes, out Tensor derivative);
        _pending.Add(derivative, evaluation);
        return derivative;
    }

    private void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative, AnalyticPullback pullback)
    {
        if (_isRecording)
            _pending.Add(derivative, pullback.Record(times, state, derivative, _withTime, _withValue));
        else
            pullback.Evaluator.Evaluate(times, state, derivative);
    }

    /// <summary>The right-hand side, each evaluation of which is recorded.</summary>
    private sealed class RecordedField(EvaluationRecorder recorder) : VectorField
    {
        public override IReadOnlyList<Tensor> Parameters => recorder._equation.Parameters;

        public override IAnalyticDynamics? Analytic { get; } = recorder._equation.Analytic is null ? null : new RecordedDynamics(recorder);

        public override Tensor Evaluate(Tensor time, Tensor state) => recorder.Evaluate(time, state);
    }

    /// <summary>The same for right-hand sides that differentiate themselves.</summary>
    private sealed class RecordedDynamics(EvaluationRecorder recorder) : IAnalyticDynamics
    {
        public DynamicsEvaluator? CreateEvaluator(Tensor state) =>
            recorder.Pullbacks.AnalyticFor(state) is { } pullback ? new RecordedEvaluator(recorder, pullback) : null;
    }

    /// <summary>The evaluator itself stays the pullback's, which needs it on the way back.</summary>
    private sealed class RecordedEvaluator(EvaluationRecorder recorder, AnalyticPullback pullback) : DynamicsEvaluator
    {
        public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative) =>
            recorder.Evaluate(times, state, derivative, pullback);

        public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative) =>
            pullback.Evaluator.Linearize(times, state, derivative);

        public override void Trace(ReadOnlySpan<double> times, Tensor state, Tensor trace) => pullback.Evaluator.Trace(times, state, trace);
    }
}
