using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Undoes steps of a reversible coupling: z₀ = z₁ + Ψ_{−h}(t₁, y₁), y₀ = (y₁ − (1 − λ) z₀ − Ψ_h(t₀, z₀)) / λ. The stages that undo a step
/// are those that its gradients go back through.
/// </summary>
internal sealed class CouplingReversal(ButcherTableau tableau, double coupling, BackwardSweep sweep) : ReversibleStepReversal(sweep)
{
    public override ReversiblePoint Undo(TapeStep step, ReversiblePoint point, Func<int, Tensor> gradient)
    {
        int lanes = step.Lanes;
        double[] b = tableau.B[..tableau.SolutionStages];
        StateArithmetic arithmetic = Sweep.Arithmetic(point.State, lanes);
        using var span = new StepSpan(step.Start, step.End, Sweep.Clock);
        using var back = new StepSpan(step.End, step.Start, Sweep.Clock);
        double[] one = Fill(lanes, 1);
        var outputs = new ExtensionOutputs(Sweep, tableau, step, span, gradient);

        using var second = new StageReversal(Sweep, tableau, back, point.State, point.State, b.Length, kept: []);
        Tensor twin = arithmetic.Combine(point.Twin, back, b, second.Derivatives);
        using var first = new StageReversal(Sweep, tableau, span, twin, twin, outputs.Stages, kept: []);
        Tensor between = arithmetic.Combine(null, null, [1 / coupling, 1 - 1 / coupling], [point.State, twin]);
        Tensor state =
            arithmetic.Combine(between, span, Array.ConvertAll(b, weight => -weight / coupling), first.Derivatives.AsSpan(0, b.Length));
        arithmetic.Release(between);

        // z₁ = z₀ − Ψ_{−h}(t₁, y₁); the step of the second stages is −h.
        second.Pull([point.TwinGradient], [[.. Enumerable.Range(0, lanes * b.Length).Select(i => -b[i % b.Length])]]);
        Tensor stateGradient = Sweep.Sum(
            lanes, [new Term(point.StateGradient, one), .. outputs.AtEnd.Select(g => new Term(g, one)),
                .. second.Pulled.Select(v => new Term(v, one))]);
        // y₁ = λy₀ + (1 − λ)z₀ + Ψ_h(t₀, z₀), and inside the step y(σ) = (1 − w) y₀ + w z₀ + h Σ_i p_i(σ) k_i with w = (1 − λ) σ.
        first.Pull([stateGradient, .. outputs.Incoming],
            [outputs.EndWeights(), .. outputs.Inside.Select(output => outputs.Weights(output))]);
        Tensor twinBefore = Sweep.Sum(
            lanes,
            [
                new Term(point.TwinGradient, one), new Term(stateGradient, Fill(lanes, 1 - coupling)), .. Inside(pull => pull),
                .. first.Pulled.Select(v => new Term(v, one)),
            ]);
        Tensor before = Sweep.Sum(lanes, [new Term(stateGradient, Fill(lanes, coupling)), .. Inside(pull => 1 - pull)]);
        if (Sweep.Times is not null)
            AddPlaces();
        arithmetic.Release(stateGradient);
        return new ReversiblePoint(state, twin, before, twinBefore);

        IEnumerable<Term> Inside(Func<double, double> weight) => outputs.Inside.Select((output, o) => new Term(
            outputs.Incoming[o], [.. Enumerable.Range(0, lanes).Select(lane => weight((1 - coupling) * output.Fraction(span, lane)))]));

        void AddPlaces()
        {
            Tensor pull = arithmetic.Combine(null, null, [1 - coupling, coupling - 1], [twin, state]);
            outputs.AddPlaces(first.Derivatives, pull);
            arithmetic.Release(pull);
        }
    }
}
