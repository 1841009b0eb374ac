namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>A linear layer whose result a gate multiplies and a shift moves: x ↦ (x Wᵀ) ⊙ gate + shift.</summary>
internal static class ModulatedLayer
{
    /// <summary>The layer.</summary>
    /// <param name="x">The input, shape <c>[batch, inputs]</c>.</param>
    /// <param name="weight">W, shape <c>[width, inputs]</c>.</param>
    /// <param name="gate">Shape <c>[width]</c> or <c>[batch, width]</c>; null for 1.</param>
    /// <param name="shift">Shape <c>[width]</c> or <c>[batch, width]</c>.</param>
    public static Tensor Apply(Tensor x, Tensor weight, Tensor? gate, Tensor shift) =>
        // One shift for all rows is a bias.
        gate is null && shift.dim() == 1 ? nn.functional.linear(x, weight, shift) : Modulate(nn.functional.linear(x, weight), gate, shift);

    /// <summary>a ⊙ gate + shift.</summary>
    public static Tensor Modulate(Tensor a, Tensor? gate, Tensor shift) => gate is null ? a.Plus(shift) : AddProduct(shift, a, gate);

    /// <summary>a + b ⊙ c.</summary>
    public static Tensor AddProduct(Tensor a, Tensor b, Tensor c) => addcmul(a, b, c, Numbers.One);
}
