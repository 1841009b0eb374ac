namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>What the dimensions of a feature column say about the images in it.</summary>
internal static class ImageColumns
{
    private const int MostColours = 4;

    /// <summary>The shape of the images that a network learns from; null where the column does not hold such.</summary>
    /// <param name="network">The network's options.</param>
    /// <param name="dimensions">The dimensions of the column's vectors.</param>
    /// <param name="expected">What the column should be, as text, where it does not.</param>
    public static ImageShape? ShapeOf(ConvolutionalNetwork network, IReadOnlyList<int> dimensions, out string? expected)
    {
        ImageShape? shape = network.Image ?? dimensions switch
        {
            [var channels, var height, var width] => new ImageShape(channels, height, width),
            [var height, var width] => new ImageShape(1, height, width),
            _ => null,
        };
        const string Option = $"{nameof(NeuralOdePredictorOptions.Network)}.{nameof(ConvolutionalNetwork.Image)}";
        if (shape is not { } image)
            expected = $"a vector whose dimensions are an image's, [channels, height, width] or [height, width]; or say the shape in {Option}";
        else if (image.Size != dimensions.Aggregate(1L, (product, size) => product * size))
            expected = $"images of {image}, {image.Size} numbers, as {Option} says";
        else if (Math.Min(image.Height, image.Width) < ConvolutionalDescription.SmallestSize)
            expected = $"images of at least {ConvolutionalDescription.SmallestSize} x {ConvolutionalDescription.SmallestSize} pixels{Hint(dimensions)}";
        else
            expected = Expected(image, dimensions);
        return expected is null ? shape : null;
    }

    /// <summary>
    /// The type of a column of images, as text, where another's dimensions say that its numbers mean other ones; null where they fit.
    /// </summary>
    public static string? Expected(ImageShape image, IReadOnlyList<int> dimensions)
    {
        bool fits = dimensions switch
        {
            [var channels, var height, var width] => new ImageShape(channels, height, width) == image,
            [var height, var width] when image.Channels == 1 => (height, width) == (image.Height, image.Width),
            _ => true,
        };
        return fits ? null : $"Vector<Single, {image.Channels}, {image.Height}, {image.Width}>{Hint(dimensions)}";
    }

    /// <summary>What is to be done where a column seems to have its channels last.</summary>
    private static string Hint(IReadOnlyList<int> dimensions) => dimensions is [> MostColours, > MostColours, >= 1 and <= MostColours]
        ? ", channels first (ExtractPixels with interleavePixelColors: false)"
        : "";
}
