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
        where T : class, ITransformer => ReplaceLast<T>(model, null, (step, _) => replace(step));

    /// <inheritdoc cref="ReplaceLast{T}(ITransformer, Func{T, ITransformer})"/>
    /// <param name="model">A step, or a chain, which may hold others.</param>
    /// <param name="data">Data that the model takes; null where the new step is made without.</param>
    /// <param name="replace">Makes the new step of the old one and of the data as they reach it.</param>
    public static ITransformer ReplaceLast<T>(ITransformer model, IDataView? data, Func<T, IDataView?, ITransformer> replace)
        where T : class, ITransformer =>
        TryReplaceLast(model, data, replace)
            ?? throw new ArgumentException($"The model, {model.GetType().Name}, has no step of type {typeof(T).Name}.", nameof(model));

    private static ITransformer? TryReplaceLast<T>(ITransformer model, IDataView? data, Func<T, IDataView?, ITransformer> replace)
        where T : class, ITransformer
    {
        if (model is T step)
            return replace(step, data);
        if (model is not ITransformerChainAccessor chain)
            return null;
        for (int i = chain.Transformers.Length - 1; i >= 0; i--)
        {
            IDataView? reached = data is null ? null : chain.Transformers.Take(i).Aggregate(data, (view, before) => before.Transform(view));
            if (TryReplaceLast(chain.Transformers[i], reached, replace) is not { } replaced)
                continue;
            ITransformer[] steps = [.. chain.Transformers];
            steps[i] = replaced;
            return new TransformerChain<ITransformer>(steps, chain.Scopes);
        }
        return null;
    }
}
