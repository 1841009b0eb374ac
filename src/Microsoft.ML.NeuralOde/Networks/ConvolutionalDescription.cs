using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks of convolutions for images, see <see cref="ConvolutionalNetwork"/>.</summary>
/// <param name="FeatureCount">Numbers of an image.</param>
/// <param name="OutputCount">Outputs of a row.</param>
/// <param name="Image">The shape of an image.</param>
/// <param name="Channels">Channels of the state.</param>
/// <param name="Block">What stands in the middle, a name of <see cref="ConvolutionalBlock"/>.</param>
/// <param name="Layers">Residual layers; 0 where there are none.</param>
/// <param name="EndTime">The equation is solved on [0, EndTime].</param>
/// <param name="Solver">The numerical method; a residual layer is a step of Euler's method of size 1.</param>
/// <param name="RelativeTolerance">rtol.</param>
/// <param name="AbsoluteTolerance">atol.</param>
/// <param name="StepSize">Its fixed step; null for error control.</param>
internal sealed record ConvolutionalDescription(
    int FeatureCount, int OutputCount, ImageShape Image, int Channels, string Block, int Layers, double EndTime, string Solver,
    double RelativeTolerance, double AbsoluteTolerance, double? StepSize)
    : NetworkDescription(FeatureCount, OutputCount, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    public const string KindName = "convolutional";
    public const int KindVersion = 1;

    /// <summary>Of a smaller image the convolutions leave nothing.</summary>
    public const int SmallestSize = 6;

    /// <summary>Taps of the kernels of the convolutions in front.</summary>
    public const int FirstKernel = 3, HalvingKernel = 4;

    private const int DynamicsKernel = 3, DynamicsConvolutions = 2;

    public override string Kind => KindName;

    public override int Version => KindVersion;

    [JsonIgnore]
    public override bool SolvesEquation => BlockKind == ConvolutionalBlock.Ode;

    [JsonIgnore]
    public ConvolutionalBlock BlockKind => Enum.TryParse(Block, out ConvolutionalBlock kind) ? kind : ConvolutionalBlock.None;

    /// <summary>
    /// Rows and columns of the state: the first convolution takes a border of one pixel, each of the others every second one.
    /// </summary>
    [JsonIgnore]
    public (int Height, int Width) StateSize => ((Image.Height - 2) / 4, (Image.Width - 2) / 4);

    [JsonIgnore]
    public override IReadOnlyList<Citation> Citations => SolvesEquation ? base.Citations : [Publications.Residual];

    public override NeuralOdeNetwork Create() => new ImageNetwork(this);

    public override long WeightCount()
    {
        try
        {
            checked
            {
                long c = Channels, norm = 2 * c;
                long front = Convolution(Image.Channels, c, FirstKernel) + 2 * Convolution(c, c, HalvingKernel) + 2 * norm;
                long head = norm + (c + 1) * OutputCount;
                long dynamics = DynamicsConvolutions * Convolution(c, c, DynamicsKernel) + (DynamicsConvolutions + 1) * norm;
                return front + head + BlockKind switch
                {
                    ConvolutionalBlock.Ode => dynamics + DynamicsConvolutions * c * DynamicsKernel * DynamicsKernel,
                    ConvolutionalBlock.SharedResidual => dynamics,
                    ConvolutionalBlock.Residual => Layers * dynamics,
                    _ => 0,
                };
            }
        }
        catch (OverflowException)
        {
            return long.MaxValue;
        }

        static long Convolution(long from, long to, long kernel) => checked((from * kernel * kernel + 1) * to);
    }

    public override string? FindDefect()
    {
        if (base.FindDefect() is { } defect)
            return defect;
        if (Image.Channels <= 0 || Image.Height < SmallestSize || Image.Width < SmallestSize || Image.Size != FeatureCount)
            return $"its {FeatureCount} features are images of {Image}";
        if (Channels is < 2 or > ConvolutionalNetwork.MostChannels)
            return $"it has {Channels} channels";
        // Numbers would be parsed as well.
        if (!Enum.GetNames<ConvolutionalBlock>().Contains(Block))
            return $"its block is '{Block}'";
        bool isDiscrete = BlockKind is ConvolutionalBlock.Residual or ConvolutionalBlock.SharedResidual;
        return Layers < (isDiscrete ? 1 : 0) || Layers > (isDiscrete ? ConvolutionalNetwork.MostLayers : 0)
            ? $"it has {Layers} residual layers"
            : null;
    }

    public override string? DifferenceOfStructure(NetworkDescription other)
    {
        if (base.DifferenceOfStructure(other) is { } difference)
            return difference;
        if (other is not ConvolutionalDescription images)
            return null;
        if (images.Image != Image)
            return $"images of {Image} and {images.Image}";
        if (images.Channels != Channels)
            return $"{Channels} and {images.Channels} channels";
        if (images.Block != Block)
            return $"the blocks {Block} and {images.Block}";
        return images.Layers != Layers ? $"{Layers} and {images.Layers} residual layers" : null;
    }

    public override string? ExpectedDimensions(IReadOnlyList<int> dimensions) => ImageColumns.Expected(Image, dimensions);
}
