using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Undoes steps of reversible Heun: ŷ₀ = 2y₁ − ŷ₁ − h f(ŷ₁), y₀ = y₁ − h (f(ŷ₀) + f(ŷ₁)) / 2. The slope at a step's start is that at the
/// end of the step before: it is evaluated once and pulled back once, when both have told its gradient.
/// </summary>
internal sealed class ReversibleHeunReversal(BackwardSweep sweep) : ReversibleStepReversal(sweep)
{
    private Held? _held;

    public override ReversiblePoint Undo(TapeStep step, ReversiblePoint point, Func<int, Tensor> gradient)
    {
        int lanes = step.Lanes;
        StateArithmetic arithmetic = Sweep.Arithmetic(point.State, lanes);
        using var span = new StepSpan(step.Start, step.End, Sweep.Clock);
        double[] h = span.Size, half = Array.ConvertAll(h, size => size / 2), one = Fill(lanes, 1);
        var outputs = new HermiteOutputs(Sweep, step, span, gradient);

        Held? later = _held;
        _held = null;
        using Pullback.Evaluation end = later?.Evaluation ?? Sweep.Evaluate(span, 1, point.Twin);
        Tensor twin = arithmetic.Combine(null, null, [.. Lanes(2, -1, h)], [point.State, point.Twin, end.Value]);
        Pullback.Evaluation start = Sweep.Evaluate(span, 0, twin);
        Tensor state = arithmetic.Combine(point.State, span, [-0.5, -0.5], [start.Value, end.Value]);

        Tensor stateGradient = Sweep.Sum(lanes, [new Term(point.StateGradient, one), .. outputs.End]);
        List<Term> endSlope = [new Term(stateGradient, half), .. Scaled(outputs.EndSlope, h)];
        if (later is not null)
            endSlope.Add(new Term(later.Gradient, one));
        Tensor cotangent = Sweep.Sum(lanes, endSlope);
        using Tensor pulled = Sweep.Pull(end, cotangent, span, 1);
        arithmetic.Release(cotangent);
        arithmetic.Release(later?.Gradient);
        Tensor twinGradient = arithmetic.Combine(point.TwinGradient, null, [1], [pulled]);
        Tensor startSlope = Sweep.Sum(lanes, [new Term(stateGradient, half), new Term(twinGradient, h), .. Scaled(outputs.StartSlope, h)]);
        if (Sweep.Times is not null)
            AddTimes();
        _held = new Held(start, startSlope, step);

        Tensor before = Sweep.Sum(lanes, [new Term(stateGradient, one), new Term(twinGradient, Fill(lanes, 2)), .. outputs.Start]);
        Tensor twinBefore = Sweep.Sum(lanes, new Term(twinGradient, Fill(lanes, -1)));
        arithmetic.Release(stateGradient);
        arithmetic.Release(twinGradient);
        return new ReversiblePoint(state, twin, before, twinBefore);

        void AddTimes()
        {
            double[] sizes = BackwardSweep.Dots(twinGradient, start.Value, lanes);
            AddDots(sizes, stateGradient, start.Value, Fill(lanes, 0.5));
            AddDots(sizes, stateGradient, end.Value, Fill(lanes, 0.5));
            foreach (Term term in outputs.StartSlope)
                AddDots(sizes, term.Tensor, start.Value, term.Weights);
            foreach (Term term in outputs.EndSlope)
                AddDots(sizes, term.Tensor, end.Value, term.Weights);
            Sweep.AddSizes(span, sizes);
            outputs.AddPlaces(state, point.State, start.Value, end.Value);
        }

        IEnumerable<double> Lanes(double first, double second, double[] sizes)
        {
            foreach (double size in sizes)
            {
                yield return first;
                yield return second;
                yield return -size;
            }
        }
    }

    public override ReversiblePoint Finish(ReversiblePoint point)
    {
        if (_held is not { } held)
            return point;
        _held = null;
        StateArithmetic arithmetic = Sweep.Arithmetic(point.State, held.Step.Lanes);
        using var span = new StepSpan(held.Step.Start, held.Step.End, Sweep.Clock);
        using Pullback.Evaluation evaluation = held.Evaluation;
        using Tensor pulled = Sweep.Pull(evaluation, held.Gradient, span, 0);
        arithmetic.Release(held.Gradient);
        Tensor twinGradient = arithmetic.Combine(point.TwinGradient, null, [1], [pulled]);
        arithmetic.Release(point.TwinGradient);
        return point with { TwinGradient = twinGradient };
    }

    public override void Dispose()
    {
        _held?.Evaluation.Dispose();
        base.Dispose();
    }

    private static IEnumerable<Term> Scaled(IEnumerable<Term> terms, double[] sizes) =>
        terms.Select(term => term with { Weights = [.. term.Weights.Zip(sizes, (weight, size) => weight * size)] });

    private static void AddDots(double[] sums, Tensor a, Tensor b, double[] weights)
    {
        double[] dots = BackwardSweep.Dots(a, b, sums.Length);
        for (int lane = 0; lane < sums.Length; lane++)
            sums[lane] += weights[lane] * dots[lane];
    }

    /// <summary>f at the start of the step undone last, and the gradient it has so far.</summary>
    private sealed record Held(Pullback.Evaluation Evaluation, Tensor Gradient, TapeStep Step);
}
