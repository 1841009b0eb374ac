using Microsoft.ML.NeuralOde.Dynamics;

namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>
/// The exact trace of the Jacobian of a dense network of at most three linear layers, at a cost that does not grow with the number of
/// features.
/// </summary>
/// <remarks>
/// The Jacobian is W₃′ D₂ W₂′ D₁ W₁ with diagonal D and, a prime meaning that a layer's gate multiplies its rows, its trace is δ₂ᵀ M δ₁
/// with M = W₂ ⊙ (W₁ W₃′)ᵀ and δᵢ = σ′(pᵢ) ⊙ gᵢ: one matrix product over the batch instead of one a feature.
/// </remarks>
internal static class DenseTrace
{
    /// <summary>Most linear layers.</summary>
    public const int MaximumLayers = 3;

    /// <summary>f and tr ∂f/∂y, through ordinary operations.</summary>
    /// <param name="activation">σ.</param>
    /// <param name="y">The state, shape <c>[batch, features]</c>.</param>
    /// <param name="weights">W of each layer.</param>
    /// <param name="gates">g of each layer, shape <c>[width]</c>; null for 1. The last layer's must be the same for all rows.</param>
    /// <param name="shifts">s of each layer.</param>
    public static (Tensor Value, Tensor Trace) Evaluate(Activation activation, Tensor y, Tensor[] weights, Tensor?[] gates, Tensor[] shifts)
    {
        int last = weights.Length - 1;
        var deltas = new Tensor[last];
        Tensor x = y;
        for (int i = 0; i < last; i++)
        {
            Tensor p = Layer(i);
            x = activation.Value(p);
            Tensor slope = activation.FirstDerivative(p, x);
            deltas[i] = gates[i] is { } gate ? slope * gate : slope;
        }
        Tensor value = Layer(last);
        Tensor output = gates[last] is { } g ? weights[last] * g.unsqueeze(1) : weights[last];
        switch (last)
        {
            case 0:
                return (value, output.diagonal().sum().expand(y.shape[0]));
            case 1:
                return (value, deltas[0].mv((output.t() * weights[0]).sum(dim: 1L)));
            default:
                Tensor m = weights[1] * weights[0].mm(output).t();
                return (value, (nn.functional.linear(deltas[0], m) * deltas[1]).sum(dim: 1L));
        }

        Tensor Layer(int i) => ModulatedLayer.Apply(x, weights[i], gates[i], shifts[i]);
    }
}
