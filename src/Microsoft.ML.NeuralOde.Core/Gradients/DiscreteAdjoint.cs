using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The discrete adjoint: each accepted step is made again and differentiated, the last step first.</summary>
internal sealed class DiscreteAdjoint : GradientMethod
{
    private DiscreteAdjoint()
        : base("checkpointed")
    {
    }

    public static DiscreteAdjoint Instance { get; } = new();

    internal override OdeSolution Solve(OdeProblem problem)
    {
        // The reversal of a step is written for explicit Runge–Kutta methods.
        if (problem.Options.Method is not Methods.ExplicitRungeKutta)
            return DirectGradient.Instance.Solve(problem);
        var tape = new StepTape();
        try
        {
            OdeSolution solution = problem.SolveWithoutGradient(tape);
            return new DiscreteAdjointSolve(problem, solution, tape).Attach();
        }
        finally
        {
            tape.Release();
        }
    }
}

/// <summary>The accepted steps of a solve.</summary>
internal sealed class StepTape : IStepRecorder
{
    public List<Step> Steps { get; } = [];

    public void Accept(AcceptedStep step)
    {
        StepSpan span = step.Attempt.Span;
        var end = (double[])span.End.Clone();
        for (int lane = 0; lane < end.Length; lane++)
            if (!step.Mask[lane])
                end[lane] = span.Start[lane];
        Steps.Add(new Step((double[])span.Start.Clone(), end, step.Rows, step.Stepper.State.clone().DetachFromDisposeScope()));
    }

    public void Output(int output, int[] lanes, double[] times, bool isAtEnd) =>
        Steps[^1].Outputs.Add(new StepOutput(output, lanes, (double[])times.Clone(), isAtEnd));

    /// <summary>Lets go of the states; those that a graph saved live on in it.</summary>
    public void Release()
    {
        foreach (Step step in Steps)
            step.State.Dispose();
    }

    /// <param name="Start">Where each lane starts.</param>
    /// <param name="End">Where it ends; its start, where the step was rejected.</param>
    /// <param name="Rows">The batch rows of the lanes; null where one lane is the whole batch.</param>
    /// <param name="State">The state at the start.</param>
    internal sealed record Step(double[] Start, double[] End, int[]? Rows, Tensor State)
    {
        public List<StepOutput> Outputs { get; } = [];
    }

    internal sealed record StepOutput(int Output, int[] Lanes, double[] Times, bool IsAtEnd);
}

/// <summary>One solve and the reversal of its steps.</summary>
internal sealed class DiscreteAdjointSolve : DifferentiableSolve
{
    private readonly StepTape _tape;

    public DiscreteAdjointSolve(OdeProblem problem, OdeSolution solution, StepTape tape)
        : base(problem, solution) => _tape = tape;

    protected override IReadOnlyList<Tensor> Saved => [.. _tape.Steps.Select(step => step.State)];

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        using var sums = new ParameterSums(Problem.Parameters);
        double[]? times = TimesNeedGradient ? new double[Problem.Grid.Count] : null;
        Tensor outputs = gradient.contiguous();
        Tensor adjoint = zeros_like(outputs[0]);
        using var reversal = new StepReversal(Problem, adjoint, sums, times, Solution.Statistics);
        for (int n = _tape.Steps.Count - 1; n >= 0; n--)
        {
            using DisposeScope scope = NewDisposeScope();
            StepTape.Step step = _tape.Steps[n];
            Tensor before = adjoint;
            if (step.Rows is null)
            {
                adjoint = reversal.Reverse(step, saved[n], adjoint, outputs);
            }
            else
            {
                Tensor rows = tensor(Array.ConvertAll(step.Rows, row => (long)row), ScalarType.Int64, adjoint.device);
                Tensor part = reversal.Reverse(step, saved[n], adjoint.index_select(0, rows), outputs.index_select(1, rows));
                adjoint = adjoint.index_copy(0, rows, part);
            }
            adjoint = adjoint.MoveToOuterDisposeScope();
            before.Dispose();
        }
        return new Gradients(
            StateNeedsGradient ? (adjoint + outputs[0]).MoveToOuterDisposeScope() : null,
            TimesGradient(times)?.MoveToOuterDisposeScope(),
            Array.ConvertAll(sums.Finish(), sum => sum?.MoveToOuterDisposeScope()));
    }
}
