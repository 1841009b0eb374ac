namespace Microsoft.ML.NeuralOde.Training;

/// <summary>
/// Seeds made of a seed: one for each use and each moment, so that a training which goes on after an interruption draws the same random
/// numbers without their generators' state being kept.
/// </summary>
internal static class Seeds
{
    /// <summary>The weights that a network starts with.</summary>
    public static int Weights(int seed) => Derive(seed, 1, 0);

    /// <summary>Which rows are for validation.</summary>
    public static int Split(int seed) => Derive(seed, 2, 0);

    /// <summary>The order of the rows in an epoch.</summary>
    public static int Order(int seed, int epoch) => Derive(seed, 3, epoch);

    /// <summary>Whatever is drawn for one batch.</summary>
    public static int Batch(int seed, long step) => Derive(seed, 4, step);

    /// <summary>Whatever is drawn row by row for the part of a batch that begins at a row.</summary>
    public static int Rows(int batch, long first) => first == 0 ? batch : Derive(batch, 5, first);

    private static int Derive(int seed, int use, long moment)
    {
        // The finalizer of MurmurHash3 (A. Appleby), which spreads neighbouring numbers.
        ulong z = ((ulong)(uint)seed << 32 | (uint)use) ^ ((ulong)moment * 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 33)) * 0xFF51AFD7ED558CCD;
        z = (z ^ (z >> 33)) * 0xC4CEB9FE1A85EC53;
        return (int)((z ^ (z >> 33)) & int.MaxValue);
    }
}
