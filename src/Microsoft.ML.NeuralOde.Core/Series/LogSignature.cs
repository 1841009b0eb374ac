namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Log-signatures of windows of a piecewise linear path.</summary>
internal static class LogSignature
{
    /// <summary>
    /// The increments of the windows and, at depth 2, the Lévy areas Lᵢⱼ = ½ ∫∫ (dXⁱ dXʲ − dXʲ dXⁱ) for i &lt; j, in the order of
    /// <see cref="Pairs"/>.
    /// </summary>
    /// <param name="increments">Shape <c>[batch, pieces, channels]</c>.</param>
    /// <param name="window">Pieces of a window; the last may have fewer.</param>
    /// <param name="depth">1 or 2.</param>
    /// <returns>Shape <c>[batch, windows, channels]</c>, or <c>[batch, windows, channels + channels (channels − 1) / 2]</c>.</returns>
    public static Tensor Of(Tensor increments, int window, int depth)
    {
        if (window == 1 && depth == 1)
            return increments;
        long rows = increments.size(0), channels = increments.size(2);
        Tensor parts = Parts(increments, window);
        long windows = parts.size(1);
        Tensor whole = parts.sum(2);
        if (depth == 1 || channels == 1)
            return whole;
        if (window == 1)
            return cat([whole, zeros(rows, windows, channels * (channels - 1) / 2, increments.dtype, increments.device)], 2);
        Tensor areas = Areas(parts).reshape(rows, windows, channels * channels);
        return cat([whole, areas.index_select(2, Pairs(channels, increments.device))], 2);
    }

    /// <summary>The increments of the windows and their Lévy areas, as antisymmetric matrices
    /// <c>[batch, windows, channels · channels]</c>.</summary>
    public static (Tensor Increments, Tensor Areas) Full(Tensor increments, int window)
    {
        Tensor parts = Parts(increments, window);
        return (parts.sum(2), Areas(parts).flatten(2));
    }

    /// <summary>Σ over the pieces of what came before ⊗ piece, of which the antisymmetric half.</summary>
    private static Tensor Areas(Tensor parts)
    {
        Tensor before = parts.cumsum(2) - parts;
        Tensor products = before.transpose(2, 3).matmul(parts);
        return (products - products.transpose(2, 3)).Over(2);
    }

    /// <summary>The pieces by window, <c>[batch, windows, window, channels]</c>.</summary>
    private static Tensor Parts(Tensor increments, int window)
    {
        long rows = increments.size(0), pieces = increments.size(1), channels = increments.size(2);
        long windows = (pieces + window - 1) / window;
        if (windows * window > pieces)
            increments = cat([increments, zeros(rows, (windows * window) - pieces, channels, increments.dtype, increments.device)], 1);
        return increments.reshape(rows, windows, window, channels);
    }

    /// <summary>The places i · channels + j of the pairs i &lt; j in a matrix of all.</summary>
    public static Tensor Pairs(long channels, Device device)
    {
        var places = new long[channels * (channels - 1) / 2];
        int next = 0;
        for (long i = 0; i < channels; i++)
            for (long j = i + 1; j < channels; j++)
                places[next++] = (i * channels) + j;
        return tensor(places, ScalarType.Int64, device);
    }
}
