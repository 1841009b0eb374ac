using Microsoft.ML.NeuralOde.Paths;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>A path that is run through along the number of the knot, s.</summary>
internal static class PieceSlopes
{
    /// <summary>dX/ds, shape <c>[batch, channels]</c>.</summary>
    /// <param name="place">s: a scalar, or one a row, <c>[batch, 1]</c>.</param>
    /// <param name="pieces">The coefficients of the pieces, <c>[batch, pieces, channels]</c> each: one of straight ones, else
    /// three.</param>
    public static Tensor At(Tensor place, IReadOnlyList<Tensor> pieces)
    {
        Tensor[] here = Here(place, pieces);
        if (here.Length == 1)
            return here[0];
        // The end of the last piece belongs to it.
        using Scalar last = pieces[0].size(1) - 1.0;
        Tensor within = place - place.detach().floor().clamp_max(last);
        return PathPieces.Slope(here[0], here[1], here[2], within);
    }

    /// <summary>What belongs to the piece around s, <c>[batch, …]</c> each.</summary>
    public static Tensor[] Here(Tensor place, IReadOnlyList<Tensor> pieces)
    {
        long count = pieces[0].size(1);
        if (place.dim() == 0)
        {
            long piece = Math.Clamp((long)Math.Floor(place.ToDouble()), 0, count - 1);
            return [.. pieces.Select(part => part.select(1, piece))];
        }
        Tensor ofRow = place.detach().floor().to(ScalarType.Int64).Within(0, count - 1).unsqueeze(2);
        return [.. pieces.Select(part => part.gather(1, ofRow.expand(part.size(0), 1, part.size(2))).squeeze(1))];
    }
}
