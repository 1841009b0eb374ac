using Microsoft.ML.NeuralOde.Data;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>What an encoder made of rows.</summary>
/// <param name="State">The result, <c>[rows, state]</c>, in the graph where it is asked for.</param>
/// <param name="Slots">The weights of the slots in use, where they are leaves of the graph by themselves; null where the whole weight is
/// the leaf.</param>
internal sealed record EncodedRows(Tensor State, SlotWeights? Slots);

/// <summary>
/// A linear layer over rows without their zeros: y = b + Σ x_s W_s over the slots s of a row. Only the weights of the slots in use are
/// read, and only they get a gradient: its cost is that of the numbers that are there.
/// </summary>
internal static class SparseLayer
{
    /// <summary>
    /// Lays a layer's weights <c>[outputs, inputs]</c> out input by input, so that those of an input lie beside each other. Values and
    /// shape stay.
    /// </summary>
    public static void KeepByInput(Linear layer)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor byInput = layer.weight!.detach().t().contiguous();
        layer.weight = new Parameter(byInput.t().DetachFromDisposeScope());
    }

    /// <summary>The result of the layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="features">The rows.</param>
    /// <param name="scale">What features are multiplied with, one number or one a slot; null for nothing.</param>
    /// <param name="inPieces">Whether the weights of the slots in use are to be a leaf of the graph by themselves.</param>
    public static EncodedRows Apply(Linear layer, SparseBatch features, Tensor? scale, bool inPieces)
    {
        Tensor byInput = layer.weight!.t();
        Tensor used;
        if (inPieces)
        {
            using IDisposable noGrad = no_grad();
            used = byInput.index_select(0, features.Slots).detach();
        }
        else
        {
            used = byInput.index_select(0, features.Slots);
        }
        if (inPieces)
            used.requires_grad_();
        Tensor values = features.Values;
        if (scale is not null)
            values = values * (scale.numel() == 1 ? scale : scale.index_select(0, features.Slots).index_select(0, features.Places));
        Tensor terms = used.index_select(0, features.Places) * values.unsqueeze(1);
        Tensor sums = zeros([features.Count, layer.weight!.shape[0]], ScalarType.Float32, used.device)
            .index_add(0, features.Rows, terms, Numbers.One);
        return new EncodedRows(sums.Plus(layer.bias!), inPieces ? new SlotWeights(features.UsedSlots, used) : null);
    }
}
