using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Carries gradients backward over one step, which it makes again from the state at its start, unless its stages were kept.
/// </summary>
internal abstract class StepReversal(BackwardSweep sweep)
{
    protected BackwardSweep Sweep { get; } = sweep;

    /// <summary>The reversal for the steps of a method.</summary>
    public static StepReversal For(OdeMethod method, BackwardSweep sweep) =>
        method.ExplicitTableau is { } tableau ? new ExplicitStepReversal(tableau, sweep) : new GraphStepReversal(method, sweep);

    /// <summary>Whether the state at the step's start is needed, where the step's stages were kept.</summary>
    public virtual bool NeedsState(TapeStep step) => true;

    /// <summary>λ at the step's start, in memory of its own.</summary>
    /// <param name="step">The step, with no lane that rejected it.</param>
    /// <param name="stages">The evaluations that its solution is made of, where they were kept; they are let go of.</param>
    /// <param name="state">The state at its start; null where it is not needed.</param>
    /// <param name="adjoint">λ at its end.</param>
    /// <param name="gradient">The gradient of an output, for the rows of the step.</param>
    public abstract Tensor Reverse(
        TapeStep step, Pullback.Evaluation[] stages, Tensor? state, Tensor adjoint, Func<int, Tensor> gradient);
}

/// <summary>The reversal of explicit Runge–Kutta steps, written by hand.</summary>
/// <remarks>
/// With λ₁ the gradient at the step's end and g_o those of outputs inside it, the stages' weights are b_i for λ₁ and p_i(σ_o) for g_o, and
/// λ₀ = λ₁ + Σ_o g_o + Σ_i v_i.
/// </remarks>
internal sealed class ExplicitStepReversal(ButcherTableau tableau, BackwardSweep sweep) : StepReversal(sweep)
{
    public override bool NeedsState(TapeStep step) => Sweep.PenaltyGradient is not null || step.Outputs.Any(output => !output.IsAtEnd);

    public override Tensor Reverse(
        TapeStep step, Pullback.Evaluation[] stages, Tensor? state, Tensor adjoint, Func<int, Tensor> gradient)
    {
        int lanes = step.Lanes;
        StateArithmetic arithmetic = Sweep.Arithmetic(adjoint, lanes);
        using var span = new StepSpan(step.Start, step.End, Sweep.Clock);
        bool hasPenalty = Sweep.PenaltyGradient is not null;
        var outputs = new ExtensionOutputs(Sweep, tableau, step, span, gradient, hasPenalty ? tableau.Stages : 0);
        Tensor? sum = outputs.AtEnd.Length == 0 ? null : arithmetic.Combine(adjoint, null, Ones(outputs.AtEnd.Length), outputs.AtEnd);
        Tensor[] parts = [sum ?? adjoint, .. outputs.Incoming];

        using var reversal = new StageReversal(Sweep, tableau, span, adjoint, state, outputs.Stages, stages, needsValues: hasPenalty);
        (Tensor Part, double[] Weights)[] costs = hasPenalty ? Costs(span, arithmetic, state!, reversal.Derivatives) : [];
        reversal.Pull(
            [.. parts, .. costs.Select(cost => cost.Part)],
            [outputs.EndWeights(), .. outputs.Inside.Select(output => outputs.Weights(output)), .. costs.Select(cost => cost.Weights)]);
        if (Sweep.Times is not null)
            outputs.AddPlaces(reversal.Derivatives);
        Tensor[] all = [.. outputs.Incoming, .. reversal.Pulled];
        Tensor result = arithmetic.Combine(parts[0], null, Ones(all.Length), all);
        arithmetic.Release(sum);
        return result;
    }

    /// <summary>The gradient of what the step costs, with weights of all stages.</summary>
    private (Tensor Part, double[] Weights)[] Costs(StepSpan span, StateArithmetic arithmetic, Tensor state, Tensor[] derivatives)
    {
        Tensor[] k = derivatives[..tableau.Stages];
        Tensor next = arithmetic.Combine(state, span, tableau.B, k);
        (Tensor Part, double[] Weights)[] costs =
        [
            .. Sweep.Problem.Penalty!.Cotangents(span, state, next, k, Sweep.PenaltyGradient!)
                .Select(cost => (cost.Part, (double[])[.. cost.Weights, .. new double[derivatives.Length - cost.Weights.Length]])),
        ];
        arithmetic.Release(next);
        return costs;
    }

    private static double[] Ones(int count)
    {
        var ones = new double[count];
        Array.Fill(ones, 1);
        return ones;
    }
}

/// <summary>
/// The reversal of any step that depends on its start alone: the step is made again as part of a graph, which is then walked back.
/// </summary>
internal sealed class GraphStepReversal(OdeMethod method, BackwardSweep sweep) : StepReversal(sweep)
{
    public override Tensor Reverse(
        TapeStep step, Pullback.Evaluation[] stages, Tensor? state, Tensor adjoint, Func<int, Tensor> gradient)
    {
        using IDisposable grad = enable_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor start = state!.detach().requires_grad_();
        var statistics = new SolverStatistics();
        var context = new StepperContext(
            new RightHandSide(Sweep.Equation, statistics), new TensorArithmetic(step.Lanes),
            new Clock(Sweep.TrackedGrid, start, Sweep.IsPerRow, Sweep.Problem.Options.Discontinuities),
            Sweep.OptionsFor(method), statistics);
        using Stepper stepper = method.CreateStepper(context);
        stepper.Start(step.Start, context.Arithmetic.Copy(start));
        StepAttempt attempt = stepper.Try(step.End);
        if (attempt.NewtonFailed)
            throw new OdeSolverException(
                SolverFailure.Newton, step.Start[0], attempt.Span.Size[0], double.NaN, [], "This was on the way back.");

        List<Tensor> values = [attempt.State];
        List<Tensor> cotangents = [adjoint];
        foreach (StepOutput output in step.Outputs)
        {
            Tensor incoming = output.Masked(gradient(output.Output), step.Lanes);
            if (output.IsAtEnd)
            {
                cotangents[0] = cotangents[0].Plus(incoming);
                continue;
            }
            Tensor value = stepper.Interpolate(output.Times);
            scope.Attach(value);
            values.Add(value);
            cotangents.Add(incoming);
        }
        Sweep.Statistics.BackwardEvaluations += statistics.FunctionEvaluations;
        (int first, int count) = TimesAround(step);
        Tensor?[] derivatives = Autograd.Pull(
            "the right-hand side", values, [start, .. Sweep.Parameters.Active, .. Sweep.TimeLeaves.AsSpan(first, count)], cotangents);
        using IDisposable noGrad = no_grad();
        int parameters = Sweep.Parameters.Active.Count;
        Sweep.Parameters.Add(derivatives[1..(1 + parameters)]);
        for (int i = 0; i < count; i++)
            if (derivatives[1 + parameters + i] is { } derivative)
                Sweep.Times!.Values[first + i] += derivative.ToDouble();
        return Sweep.Arithmetic(state, step.Lanes).Copy((derivatives[0] ?? zeros_like(state)).contiguous());
    }

    /// <summary>The output times on which the step's times depend.</summary>
    private (int First, int Count) TimesAround(TapeStep step)
    {
        if (Sweep.Times is null)
            return (0, 0);
        int first = int.MaxValue;
        int last = 0;
        foreach (double time in step.Start.Concat(step.End))
        {
            int segment = Sweep.Problem.Grid.Locate(time).Segment;
            first = Math.Min(first, segment);
            last = Math.Max(last, Math.Min(segment + 1, Sweep.TimeLeaves.Length - 1));
        }
        return (first, last - first + 1);
    }
}
