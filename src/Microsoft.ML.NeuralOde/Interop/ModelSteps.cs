using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>The steps of a model that is a chain, or is one step itself.</summary>
internal static class ModelSteps
{
    /// <summary>A model whose last step of one kind is replaced; the other steps are shared.</summary>
    /// <typeparam name="T">The kind of step.</typeparam>
    /// <param name="model">A step, or a chain, which may hold others.</param>
    /// <param name="replace">Makes the new step.</param>
    /// <exception cref="ArgumentException">No step is of this kind.</exception>
    public static ITransformer ReplaceLast<T>(ITransformer model, Func<T, ITransformer> replace)
        where T : class, ITransformer =>
        TryReplaceLast(model, replace)
            ?? throw new ArgumentException($"The model, {model.GetType().Name}, has no step of type {typeof(T).Name}.", nameof(model));

    private static ITransformer? TryReplaceLast<T>(ITransformer model, Func<T, ITransformer> replace)
        where T : class, ITransformer
    {
        if (model is T step)
            return replace(step);
        if (model is not ITransformerChainAccessor chain)
            return null;
        for (int i = chain.Transformers.Length - 1; i >= 0; i--)
        {
            if (TryReplaceLast(chain.Transformers[i], replace) is not { } replaced)
                continue;
            ITransformer[] steps = [.. chain.Transformers];
            steps[i] = replaced;
            return new TransformerChain<ITransformer>(steps, chain.Scopes);
        }
        return null;
    }
}
