namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The shape of an image as a vector: channels first, that is all pixels of the first channel row by row, then those of the next.
/// </summary>
/// <param name="Channels">Channels: 1 for grey values, 3 for colours.</param>
/// <param name="Height">Rows of pixels.</param>
/// <param name="Width">Columns of pixels.</param>
public readonly record struct ImageShape(int Channels, int Height, int Width)
{
    /// <summary>Numbers of an image.</summary>
    internal long Size => (long)Channels * Height * Width;

    /// <summary>The shape.</summary>
    /// <returns>For instance “3 x 32 x 32”.</returns>
    public override string ToString() => $"{Channels} x {Height} x {Width}";
}
