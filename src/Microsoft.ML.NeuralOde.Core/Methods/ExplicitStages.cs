namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>The stages of an explicit Runge–Kutta step, for methods that use one as a part of their own.</summary>
internal static class ExplicitStages
{
    /// <summary>k₀ … k_{s−1}, the caller's but for k₀, which is <paramref name="first"/>.</summary>
    public static Tensor[] Evaluate(StepperContext context, ButcherTableau tableau, StepSpan span, Tensor state, Tensor first)
    {
        var k = new Tensor[tableau.Stages];
        k[0] = first;
        for (int i = 1; i < k.Length; i++)
        {
            Tensor input = context.Arithmetic.Combine(state, span, tableau.A[i], k.AsSpan(0, i));
            k[i] = context.Evaluate(span, tableau.C[i], input);
            context.Arithmetic.Release(input);
        }
        return k;
    }
}
