namespace Microsoft.ML.NeuralOde;

/// <summary>What a solve cost. The figures of the backward pass grow when that pass runs, which may be after the solve returned.</summary>
public sealed class SolverStatistics
{
    private bool _isUntold;

    /// <summary>NFE, the evaluations of the right-hand side on the way forward, each of a whole batch.</summary>
    public long FunctionEvaluations { get; internal set; }

    /// <summary>The same, counted in rows: under per-row step sizes finished rows cost nothing.</summary>
    public long RowEvaluations { get; internal set; }

    /// <summary>
    /// Evaluations of the right-hand side on the way back, in <see cref="GradientMethod"/>s that evaluate it there: each is one
    /// evaluation with, in most cases, its vector–Jacobian product. Evaluations that were kept from the way forward are not made again.
    /// </summary>
    public long BackwardEvaluations { get; internal set; }

    /// <summary>Steps that were taken. Under per-row step sizes the sum over the rows.</summary>
    public long AcceptedSteps { get; internal set; }

    /// <summary>Steps that were tried and not taken, because their error was above the tolerance.</summary>
    public long RejectedSteps { get; internal set; }

    /// <summary>Size of the smallest step taken; 0 before the first.</summary>
    public double SmallestStep { get; internal set; }

    /// <summary>Size of the largest step taken; 0 before the first.</summary>
    public double LargestStep { get; internal set; }

    /// <summary>Jacobians ∂f/∂y that implicit methods computed.</summary>
    public long Jacobians { get; internal set; }

    /// <summary>Factorisations of the Newton matrix that implicit methods computed.</summary>
    public long Factorizations { get; internal set; }

    /// <summary>
    /// Whether the problem looked stiff to an explicit method: steps limited by stability, not by accuracy. Noticed by the methods of order
    /// 5 and 8, whose stages show it at no cost, and by <see cref="OdeMethod.Auto"/>.
    /// </summary>
    public bool IsStiff { get; internal set; }

    /// <summary>
    /// Whether the right-hand side, an <see cref="ILayeredDynamics"/>, was evaluated by the library's kernels in place of its
    /// <c>forward</c>.
    /// </summary>
    public bool IsLowered { get; internal set; }

    /// <summary>
    /// Why a right-hand side that names its layers was evaluated by its <c>forward</c>: “a layer is ELU; …”; null where it was not, or
    /// names none.
    /// </summary>
    public string? WhyNotLowered { get; internal set; }

    /// <summary>
    /// Why the backward pass failed; null where it did not. The autograd engine cannot pass exceptions on: after a failure all gradients
    /// are NaN, the reason stands here, and the call that started the pass throws an
    /// <see cref="System.Runtime.InteropServices.ExternalException"/> that quotes it.
    /// </summary>
    public Exception? BackwardFailure { get; private set; }

    /// <summary>
    /// Throws <see cref="BackwardFailure"/>, if there is one, as what it is: an <see cref="OperationCanceledException"/> after a
    /// cancellation, say.
    /// </summary>
    public void ThrowIfBackwardFailed()
    {
        if (BackwardFailure is not { } failure)
            return;
        _isUntold = false;
        Torch.BackwardFailure.Throw(failure);
    }

    /// <summary>The same where the call that started the backward pass could not throw.</summary>
    internal void ThrowIfUntold()
    {
        if (_isUntold)
            ThrowIfBackwardFailed();
    }

    /// <summary>Takes note of a failure.</summary>
    /// <param name="exception">What happened.</param>
    /// <param name="isTold">Whether the call that started the backward pass throws.</param>
    /// <param name="parameters">The solve's parameters; their next use throws otherwise.</param>
    internal void Fail(Exception exception, bool isTold, IReadOnlyList<Tensor> parameters)
    {
        BackwardFailure = exception;
        if (isTold)
            return;
        _isUntold = true;
        Torch.BackwardFailure.Keep(exception, parameters);
    }

    /// <summary>
    /// Rows of the batch whose own gradient is NaN, because they failed, or were not solved to the end, before an output that the loss
    /// depends on. The gradients of parameters and times are those of what was reached.
    /// </summary>
    public IReadOnlyList<long> RowsWithoutGradient { get; internal set; } = [];

    /// <summary>About how many bytes outside the managed heap the graph of the solution holds.</summary>
    internal long GraphBytes { get; set; }

    /// <summary>
    /// The size that the step control chose behind the last step taken; 0 before it. Of some row, under per-row step sizes.
    /// </summary>
    internal double NextStep { get; set; }

    /// <summary>The sizes of all steps together.</summary>
    internal double StepSum { get; private set; }

    internal void CountAccepted(double stepSize)
    {
        double size = Math.Abs(stepSize);
        StepSum += size;
        SmallestStep = AcceptedSteps == 0 ? size : Math.Min(SmallestStep, size);
        LargestStep = Math.Max(LargestStep, size);
        AcceptedSteps++;
    }

    internal SolverStatistics Copy() => (SolverStatistics)MemberwiseClone();

    /// <summary>Takes the figures of others over.</summary>
    internal void Assign(SolverStatistics other)
    {
        FunctionEvaluations = other.FunctionEvaluations;
        RowEvaluations = other.RowEvaluations;
        BackwardEvaluations = other.BackwardEvaluations;
        AcceptedSteps = other.AcceptedSteps;
        RejectedSteps = other.RejectedSteps;
        SmallestStep = other.SmallestStep;
        LargestStep = other.LargestStep;
        Jacobians = other.Jacobians;
        Factorizations = other.Factorizations;
        IsStiff = other.IsStiff;
        GraphBytes = other.GraphBytes;
        NextStep = other.NextStep;
        StepSum = other.StepSum;
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{FunctionEvaluations} evaluations forward, {BackwardEvaluations} backward; {AcceptedSteps} steps accepted, {RejectedSteps} rejected, " +
        $"sizes {SmallestStep:G3} to {LargestStep:G3}";
}

/// <summary>Where a running solve stands.</summary>
/// <param name="Time">The time reached (of the row that is furthest behind, under per-row step sizes).</param>
/// <param name="EndTime">The last output time.</param>
/// <param name="AcceptedSteps">Steps taken so far.</param>
/// <param name="FunctionEvaluations">Evaluations of the right-hand side so far.</param>
public readonly record struct SolverProgress(double Time, double EndTime, long AcceptedSteps, long FunctionEvaluations);
