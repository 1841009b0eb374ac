using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Is told of the steps that make a solution, and of the outputs taken from them: gradient methods work from that.</summary>
internal interface IStepRecorder
{
    /// <summary>A step is about to be accepted: the stepper still stands at its start.</summary>
    void Accept(AcceptedStep step);

    /// <summary>The state at an output time was taken from the step accepted last.</summary>
    /// <param name="output">Index of the output time.</param>
    /// <param name="lanes">The lanes that reached it.</param>
    /// <param name="times">The place inside the step, lane by lane.</param>
    /// <param name="isAtEnd">Whether it is the step's end in every lane.</param>
    void Output(int output, int[] lanes, double[] times, bool isAtEnd);
}

/// <summary>A step that is accepted.</summary>
/// <param name="Stepper">The method, standing at the step's start.</param>
/// <param name="Attempt">The step.</param>
/// <param name="Mask">The lanes in which it is accepted.</param>
/// <param name="Rows">The batch rows that the lanes stand for; null where one lane is the whole batch.</param>
internal readonly record struct AcceptedStep(Stepper Stepper, StepAttempt Attempt, bool[] Mask, int[]? Rows);
