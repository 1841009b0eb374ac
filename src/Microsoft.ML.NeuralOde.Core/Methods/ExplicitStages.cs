using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>The stages of an explicit Runge–Kutta step, for methods that use one as a part of their own.</summary>
internal static class ExplicitStages
{
    /// <summary>
    /// k₀ … k_{s−1}, the caller's but for k₀, which is <paramref name="first"/>. The stage that is f at the step's end is left out where
    /// only the solution is wanted.
    /// </summary>
    public static Tensor[] Evaluate(
        StepperContext context, ButcherTableau tableau, StepSpan span, Tensor state, Tensor first, bool forSolutionOnly = false)
    {
        var k = new Tensor[forSolutionOnly ? tableau.SolutionStages : tableau.Stages];
        k[0] = first;
        using var table = new StepTable(context.Arithmetic.Lanes, span, tableau.A);
        for (int i = 1; i < k.Length; i++)
        {
            Tensor input = context.Arithmetic.Combine(state, table, i, k.AsSpan(0, i));
            k[i] = context.Evaluate(span, tableau.C[i], input);
            context.Arithmetic.Release(input);
        }
        return k;
    }

    /// <summary>The stages that only the interpolant needs, behind the method's own; the caller's.</summary>
    public static Tensor[] EvaluateExtension(
        StepperContext context, ButcherTableau tableau, StepSpan span, Tensor state, IReadOnlyList<Tensor> k)
    {
        Tensor[] all = [.. k, .. new Tensor[tableau.Extension.ExtraC.Length]];
        using var table = new StepTable(context.Arithmetic.Lanes, span, tableau.Extension.ExtraA);
        for (int i = k.Count; i < all.Length; i++)
        {
            Tensor input = context.Arithmetic.Combine(state, table, i - k.Count, all.AsSpan(0, i));
            all[i] = context.Evaluate(span, tableau.Extension.ExtraC[i - k.Count], input);
            context.Arithmetic.Release(input);
        }
        return all[k.Count..];
    }

    /// <summary>The error of a step in units of the tolerance, lane by lane; null where the method estimates none.</summary>
    /// <param name="context">The solve.</param>
    /// <param name="tableau">The method.</param>
    /// <param name="table">Its <see cref="ButcherTableau.Rows"/> for the step.</param>
    /// <param name="state">The state at the step's start.</param>
    /// <param name="next">That at its end.</param>
    /// <param name="k">All stages.</param>
    public static double[]? Error(
        StepperContext context, ButcherTableau tableau, StepTable table, Tensor state, Tensor next, ReadOnlySpan<Tensor> k)
    {
        if (tableau.Error is null)
            return null;
        double[][] errors = context.Arithmetic.ScaledErrors(state, next, table, tableau.ErrorRows, k, context.Options);
        double[] error = errors[0];
        if (tableau.SecondError is null)
            return error;
        for (int lane = 0; lane < error.Length; lane++)
            if (error[lane] > 0)
                error[lane] *= error[lane] / Math.Sqrt(error[lane] * error[lane] + 0.01 * errors[1][lane] * errors[1][lane]);
        return error;
    }
}
