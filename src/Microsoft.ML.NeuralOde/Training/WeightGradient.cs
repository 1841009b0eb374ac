namespace Microsoft.ML.NeuralOde.Training;

/// <summary>The gradient of one of a module's weights in one step.</summary>
/// <param name="name">The weight's name in the module.</param>
/// <param name="values">The gradient: of the weight's shape, or <c>[slots, outputs]</c>.</param>
/// <param name="slots">The slots that the gradient is of, ascending, the others' being zero; null for all of the weight.</param>
internal sealed class WeightGradient(string name, Tensor values, long[]? slots = null)
{
    public string Name { get; } = name;

    public Tensor Values { get; private set; } = values;

    public long[]? Slots { get; private set; } = slots;

    /// <summary>Puts the gradient of other slots in the place of this one.</summary>
    /// <exception cref="InvalidOperationException">The gradient is of all of the weight; it is changed in place.</exception>
    public void Replace(long[] slots, Tensor values)
    {
        if (Slots is null)
            throw new InvalidOperationException($"The gradient of '{Name}' is of all of the weight: change its values in place.");
        (Slots, Values) = (slots, values);
    }

    /// <summary>Scales gradients whose norm together is larger than a number down to it, as torch's clip_grad_norm_ does.</summary>
    public static void Clip(IReadOnlyList<WeightGradient> gradients, double maximum)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor[] values = [.. gradients.Select(gradient => gradient.Values)];
        double factor = maximum / (Math.Sqrt(TensorLists.Norms(values).Sum(norm => norm * norm)) + 1e-6);
        if (!(factor >= 1))
            TensorLists.Scale(values, factor);
    }
}
