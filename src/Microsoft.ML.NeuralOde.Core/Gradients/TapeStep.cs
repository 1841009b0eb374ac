using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>An accepted step as a backward sweep needs it: a few numbers, no state.</summary>
/// <param name="Method">What made the step, if it can be made again from its start alone.</param>
/// <param name="Start">Where each lane starts.</param>
/// <param name="End">Where it ends; its start, where the step was rejected.</param>
/// <param name="Rows">The batch rows of the lanes; null where one lane is the whole batch.</param>
internal sealed record TapeStep(OdeMethod? Method, double[] Start, double[] End, int[]? Rows)
{
    /// <summary>The outputs that were taken from the step.</summary>
    public IReadOnlyList<StepOutput> Outputs { get; private set; } = [];

    /// <summary>The evaluations that the step's solution is made of; none where they are not kept.</summary>
    public Pullback.Evaluation[] Stages { get; init; } = [];

    public int Lanes => Start.Length;

    public static TapeStep Of(AcceptedStep step, params Pullback.Evaluation[] stages)
    {
        StepSpan span = step.Attempt.Span;
        var end = (double[])span.End.Clone();
        for (int lane = 0; lane < end.Length; lane++)
            if (!step.Mask[lane])
                end[lane] = span.Start[lane];
        return new TapeStep(step.Stepper.StepMethod, (double[])span.Start.Clone(), end, step.Rows) { Stages = stages };
    }

    public void AddOutput(StepOutput output) => Outputs = [.. Outputs, output];

    /// <summary>The step in the lanes that accepted it, and which these are; all, if there is one lane.</summary>
    public (TapeStep Step, int[] Lanes) Accepted()
    {
        int[] kept = [.. Enumerable.Range(0, Lanes).Where(lane => Start[lane] != End[lane])];
        if (kept.Length == Lanes)
            return (this, kept);
        var step = new TapeStep(Method, Pick(Start), Pick(End), Rows is null ? null : Array.ConvertAll(kept, lane => Rows[lane]));
        step.Outputs = [.. Outputs.Select(output =>
            output with { Lanes = Array.ConvertAll(output.Lanes, lane => Array.IndexOf(kept, lane)), Times = Pick(output.Times) })];
        return (step, kept);

        double[] Pick(double[] values) => Array.ConvertAll(kept, lane => values[lane]);
    }
}

/// <summary>States taken from a step.</summary>
/// <param name="Output">Index of the output time.</param>
/// <param name="Lanes">The lanes that reached it.</param>
/// <param name="Times">The place inside the step, lane by lane.</param>
/// <param name="IsAtEnd">Whether it is the step's end in every lane.</param>
internal sealed record StepOutput(int Output, int[] Lanes, double[] Times, bool IsAtEnd)
{
    /// <summary>The place as a fraction of the step.</summary>
    public double Fraction(StepSpan span, int lane) => span.Fraction(Times[lane], lane);

    /// <summary>The gradient of the output in the lanes that reached it in this step, zero in the others.</summary>
    public Tensor Masked(Tensor gradient, int count)
    {
        if (Lanes.Length == count)
            return gradient;
        var mask = new bool[count];
        foreach (int lane in Lanes)
            mask[lane] = true;
        var shape = new long[gradient.dim()];
        Array.Fill(shape, 1);
        shape[0] = count;
        return where(tensor(mask, device: gradient.device).reshape(shape), gradient, zeros_like(gradient));
    }
}
