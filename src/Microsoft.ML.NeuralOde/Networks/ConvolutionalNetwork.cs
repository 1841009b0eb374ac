namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A network for images: a convolution and two that halve the image's size, with group normalisation and ReLU between them; then an ODE
/// block whose right-hand side is <see cref="ConvolutionalDynamics"/> with time (or what <see cref="Block"/> puts in its place); group
/// normalisation, ReLU, the mean over the image, a linear head (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018). With 64 channels and 10 classes it has 0.21 million weights.
/// </summary>
/// <remarks>
/// <para>
/// Images are channels first, as ML.NET's <c>ExtractPixels</c> gives them with <c>interleavePixelColors: false</c>, which is its default.
/// Their shape is that of the feature column, <c>[channels, height, width]</c> or <c>[height, width]</c>, unless <see cref="Image"/> says
/// it.
/// <see cref="FeatureNormalization.PerSlot"/> counts as <see cref="FeatureNormalization.Global"/>: pixels are of one kind.
/// </para>
/// <para>
/// <see cref="NeuralOdePredictorOptions.EncoderLayers"/> and <see cref="NeuralOdePredictorOptions.DynamicsLayers"/> are of no use beside
/// it; without an ODE block, the options of the solver, of its gradient and <see cref="NeuralOdePredictorOptions.EndTime"/> are not
/// either.
/// </para>
/// </remarks>
/// <example>
/// <code>
/// var trainer = mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
/// {
///     Network = new ConvolutionalNetwork { Augmentation = new ImageAugmentation { Shift = 2, Rotation = 10 } },
///     NumberOfEpochs = 5,
/// });
/// </code>
/// </example>
public sealed record ConvolutionalNetwork : NeuralOdeNetworkOptions
{
    internal const int MostChannels = 4096, MostLayers = 1000;

    /// <summary>Channels behind the first convolution, at least 2. Default: 64.</summary>
    public int Channels { get; init; } = 64;

    /// <summary>
    /// The shape of an image; at least 6 pixels high and wide. Default: null, that of the feature column.
    /// </summary>
    public ImageShape? Image { get; init; }

    /// <summary>What stands in the middle. Default: <see cref="ConvolutionalBlock.Ode"/>.</summary>
    public ConvolutionalBlock Block { get; init; } = ConvolutionalBlock.Ode;

    /// <summary>Layers of a block that is discrete in depth; of no use for the others. Default: 6.</summary>
    public int ResidualLayers { get; init; } = 6;

    /// <summary>Random changes of the images in training. Default: none.</summary>
    public ImageAugmentation Augmentation { get; init; } = ImageAugmentation.None;

    /// <summary>The network in words.</summary>
    /// <returns>For instance “convolutional (64 channels; block Residual, 6 layers; augmentation none)”.</returns>
    public override string ToString() =>
        $"convolutional ({(Image is { } image ? $"images {image}; " : "")}{Channels} channels; block {Block}"
        + $"{(IsDiscrete ? $", {ResidualLayers} layers" : "")}; augmentation {Augmentation})";

    internal bool IsDiscrete => Block is ConvolutionalBlock.Residual or ConvolutionalBlock.SharedResidual;

    internal override (string Option, object? Found, string Expected)? FindDefect()
    {
        if (Channels is < 2 or > MostChannels)
            return (nameof(Channels), Channels, $"from 2 to {MostChannels}");
        if (Image is { } image && (image.Channels <= 0 || image.Height <= 0 || image.Width <= 0 || image.Size > int.MaxValue))
            return (nameof(Image), image, "positive sizes, with no more numbers than a vector holds");
        if (Image is { } small && Math.Min(small.Height, small.Width) < Networks.ConvolutionalDescription.SmallestSize)
            return (nameof(Image), small, $"at least {Networks.ConvolutionalDescription.SmallestSize} pixels high and wide");
        if (!Enum.IsDefined(Block))
            return (nameof(Block), Block, $"one of {string.Join(", ", Enum.GetNames<ConvolutionalBlock>())}");
        if (ResidualLayers is < 1 or > MostLayers)
            return (nameof(ResidualLayers), ResidualLayers, $"from 1 to {MostLayers}");
        if (Augmentation is null)
            return (nameof(Augmentation), null, "an ImageAugmentation such as ImageAugmentation.None");
        if (!(Augmentation.Shift >= 0 && double.IsFinite(Augmentation.Shift)))
            return ($"{nameof(Augmentation)}.{nameof(Augmentation.Shift)}", Augmentation.Shift, "zero or a positive number of pixels");
        return Augmentation.Rotation is >= 0 and <= ImageAugmentation.LargestRotation
            ? null
            : ($"{nameof(Augmentation)}.{nameof(Augmentation.Rotation)}", Augmentation.Rotation, "from 0 to 180 degrees");
    }
}

/// <summary>What stands in the middle of a <see cref="ConvolutionalNetwork"/>.</summary>
public enum ConvolutionalBlock
{
    /// <summary>The state that an ordinary differential equation reaches: continuous in depth.</summary>
    Ode,

    /// <summary>
    /// Residual layers y ← y + f(y), each with weights of its own: the discrete twin, a ResNet (K. He, X. Zhang, S. Ren, J. Sun, Identity
    /// Mappings in Deep Residual Networks, 2016). f is that of the equation, without time.
    /// </summary>
    Residual,

    /// <summary>Residual layers that share their weights.</summary>
    SharedResidual,

    /// <summary>Nothing: what the convolutions in front and the head reach by themselves.</summary>
    None,
}
