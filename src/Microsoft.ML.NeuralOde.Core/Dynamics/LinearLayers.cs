using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Linear layers with ReLU between them, as networks have them around their equation.</summary>
internal static class LinearLayers
{
    // A node of our own costs as much as two of torch's layers, and laying the weights out as much as a few rows.
    private const long LeastRows = 8, LeastWork = 1 << 19;

    /// <summary>
    /// What layers make of rows, <c>[rows, inputs]</c>: on the kernels where these know type, place and sizes and it is worth it, by torch
    /// elsewhere, with the same result up to rounding. Hooks of the layers are not called.
    /// </summary>
    /// <param name="x">The rows.</param>
    /// <param name="layers">The layers; x itself is the result where there is none.</param>
    public static Tensor Apply(Tensor x, params ReadOnlySpan<Linear> layers)
    {
        if (!IsWorthIt(x, layers) || !HasKernelsFor(x, layers))
            return ByTorch(x, layers);
        var weights = new (Tensor, Tensor?)[layers.Length];
        for (int l = 0; l < layers.Length; l++)
            weights[l] = (layers[l].weight!, layers[l].bias);
        return LinearLayersFunction.Run(x, weights);
    }

    /// <summary>The same by torch's operations.</summary>
    public static Tensor ByTorch(Tensor x, params ReadOnlySpan<Linear> layers)
    {
        for (int l = 0; l < layers.Length; l++)
            x = layers[l].call(l == 0 ? x : x.relu());
        return x;
    }

    private static bool IsWorthIt(Tensor x, ReadOnlySpan<Linear> layers) => x.dim() == 2 && x.size(0) >= LeastRows
        && (layers.Length > 1 || layers.Length == 1 && x.size(0) * layers[0].weight!.numel() >= LeastWork);

    /// <summary>Whether the kernels know rows and layers.</summary>
    public static bool HasKernelsFor(Tensor x, params ReadOnlySpan<Linear> layers)
    {
        if (!StateKernels.Supports(x) || x.dim() != 2 || !x.is_contiguous() || x.numel() == 0)
            return false;
        long width = x.size(1);
        foreach (Linear layer in layers)
        {
            if (layer.weight is not { } weight || weight.size(1) != width || !DenseNetwork.IsSmall(weight) || !DenseNetwork.Fits(weight, x)
                || layer.bias is { } bias && !DenseNetwork.Fits(bias, x))
                return false;
            width = weight.size(0);
        }
        return true;
    }
}
