using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Undoes steps of a reversible coupling: z₀ = z₁ + Ψ_{−h}(t₁, y₁), y₀ = (y₁ − (1 − λ) z₀ − Ψ_h(t₀, z₀)) / λ. The stages that undo a step are those
/// that its gradients go back through.
/// </summary>
internal sealed class CouplingReversal(ReversibleCoupling method, BackwardSweep sweep) : ReversibleStepReversal(sweep)
{
    private readonly ButcherTableau _tableau = method.Tableau;

    public override ReversiblePoint Undo(TapeStep step, ReversiblePoint point, Func<int, Tensor> gradient)
    {
        int lanes = step.Lanes;
        int count = _tableau.SolutionStages;
        double[] b = _tableau.B[..count];
        double coupling = method.Coupling;
        StateArithmetic arithmetic = Sweep.Arithmetic(point.State, lanes);
        using var span = new StepSpan(step.Start, step.End, Sweep.Clock);
        using var back = new StepSpan(step.End, step.Start, Sweep.Clock);
        double[] one = Fill(lanes, 1);
        var outputs = new HermiteOutputs(Sweep, step, span, gradient);

        using var second = new StageReversal(Sweep, _tableau, back, point.State, point.State, count, kept: []);
        Tensor twin = arithmetic.Combine(point.Twin, back, b, second.Derivatives);
        using var first = new StageReversal(Sweep, _tableau, span, twin, twin, count, kept: []);
        Tensor between = arithmetic.Combine(null, null, [1 / coupling, 1 - 1 / coupling], [point.State, twin]);
        Tensor state = arithmetic.Combine(between, span, Array.ConvertAll(b, weight => -weight / coupling), first.Derivatives);
        arithmetic.Release(between);

        // z₁ = z₀ − Ψ_{−h}(t₁, y₁); the step of the second stages is −h.
        Pull(second, point.TwinGradient, -1, outputs.EndSlope, -1);
        Tensor stateGradient = Sweep.Sum(lanes, [new Term(point.StateGradient, one), .. outputs.End, .. second.Pulled.Select(v => new Term(v, one))]);
        // y₁ = λy₀ + (1 − λ)z₀ + Ψ_h(t₀, z₀).
        Pull(first, stateGradient, 1, outputs.StartSlope, 1);
        Tensor twinBefore = Sweep.Sum(
            lanes, [new Term(point.TwinGradient, one), new Term(stateGradient, Fill(lanes, 1 - coupling)), .. first.Pulled.Select(v => new Term(v, one))]);
        Tensor before = Sweep.Sum(lanes, [new Term(stateGradient, Fill(lanes, coupling)), .. outputs.Start]);
        if (Sweep.Times is not null)
            outputs.AddPlaces(state, point.State, first.Derivatives[0], second.Derivatives[0]);
        arithmetic.Release(stateGradient);
        return new ReversiblePoint(state, twin, before, twinBefore);

        void Pull(StageReversal stages, Tensor cotangent, double sign, IEnumerable<Term> slopes, double slopeSign)
        {
            Term[] terms = [.. slopes];
            double[][] weights =
            [
                [.. Enumerable.Range(0, lanes * count).Select(i => sign * b[i % count])],
                .. terms.Select(term => Enumerable.Range(0, lanes * count).Select(i => i % count == 0 ? slopeSign * term.Weights[i / count] : 0).ToArray()),
            ];
            stages.Pull([cotangent, .. terms.Select(term => term.Tensor)], weights);
        }
    }
}
