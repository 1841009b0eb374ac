using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Adds up what the accepted steps cost, and tells another recorder of them.</summary>
internal sealed class PenaltyRecorder(StepPenalty penalty, IStepRecorder? inner = null) : IStepRecorder
{
    private Tensor? _sum;

    public void Accept(AcceptedStep step)
    {
        using (DisposeScope scope = NewDisposeScope())
        {
            Tensor value = penalty.Of(step.Attempt.Span, step.Stepper.State, step.Attempt.State, step.Stepper.Stages.Derivatives);
            Tensor? before = _sum;
            _sum = (before is null ? value : before.Plus(value)).DetachFromDisposeScope();
            before?.Dispose();
        }
        inner?.Accept(step);
    }

    public void Output(int output, int[] lanes, double[] times, bool isAtEnd) => inner?.Output(output, lanes, times, isAtEnd);

    /// <summary>The sum over the steps, in the shape of the state, which is the caller's.</summary>
    public Tensor? Take()
    {
        Tensor? sum = _sum;
        _sum = null;
        return sum;
    }
}
