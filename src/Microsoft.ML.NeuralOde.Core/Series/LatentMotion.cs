using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Latent states at times before and behind the anchor.</summary>
internal abstract class LatentMotion(string name) : Module<Tensor, Tensor, LatentConditions, Tensor>(name)
{
    // forward(state at the anchor [rows, latent], times since the anchor float64 [rows, n], conditions) is [rows, n, latent].
}

/// <summary>What the motion of each row depends on besides its state.</summary>
/// <param name="Statics">Shape <c>[rows, statics]</c>; null for none.</param>
/// <param name="Path">The covariates' path; null for none.</param>
/// <param name="AnchorTime">float64, <c>[rows]</c>.</param>
/// <param name="Copies">How often the rows of these tensors are repeated among the states, one after the other.</param>
internal sealed record LatentConditions(Tensor? Statics, ControlPath? Path, Tensor AnchorTime, long Copies)
{
    /// <summary>Statics and covariates at times since the anchor, <c>[rows · copies, n, conditions]</c>; null where there are
    /// none.</summary>
    /// <param name="elapsed">float64, <c>[rows, n]</c>.</param>
    public Tensor? At(Tensor elapsed)
    {
        if (Statics is null && Path is null)
            return null;
        var parts = new List<Tensor>();
        if (Statics is not null)
            parts.Add(Statics.unsqueeze(1).expand(Statics.size(0), elapsed.size(1), Statics.size(1)));
        if (Path is not null)
            parts.Add(Path.Evaluate(AnchorTime.unsqueeze(1).Plus(elapsed)));
        return Repeated(parts.Count == 1 ? parts[0] : cat(parts, 2));
    }

    /// <summary>A tensor of the rows, repeated.</summary>
    public Tensor Repeated(Tensor rows) => Copies == 1 ? rows : rows.repeat([Copies, .. Enumerable.Repeat(1L, (int)rows.dim() - 1)]);
}
