using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks of convolutions for images, see <see cref="ConvolutionalNetwork"/>.</summary>
/// <param name="FeatureCount">Numbers of an image.</param>
/// <param name="OutputCount">Outputs of a row.</param>
/// <param name="Image">The shape of an image.</param>
/// <param name="Channels">Channels of the convolutions in front.</param>
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
    public const int KindVersion = 2;

    /// <summary>Of a smaller image the convolutions leave nothing.</summary>
    public const int SmallestSize = 6;

    /// <summary>Taps of the kernels of the convolutions in front.</summary>
    public const int FirstKernel = 3, HalvingKernel = 4;

    private const int DynamicsKernel = 3, DynamicsConvolutions = 2;

    public override string Kind => KindName;

    // Older versions would read such a description as another network's.
    public override int Version => AugmentedDimensions > 0 || Groups is not null ? KindVersion : 1;

    /// <summary>Channels of the state beyond those of the convolutions in front; 0 in files that do not have it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int AugmentedDimensions { get; init; }

    /// <summary>Whether they begin at a learned function of those at the same place instead of zero.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool LearnsAugmentation { get; init; }

    /// <summary>Channels of the state.</summary>
    [JsonIgnore]
    public int StateChannels => Channels + AugmentedDimensions;

    /// <summary>Groups in which the state is normalised; null in files that do not have it: those of the dynamics.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Groups { get; init; }

    /// <summary>Groups in which the state is normalised.</summary>
    [JsonIgnore]
    public long StateGroups => Groups ?? ConvolutionalDynamics.DefaultGroups(StateChannels);

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
    public override IReadOnlyList<Citation> Citations =>
    [
        .. SolvesEquation ? base.Citations : [Publications.Residual],
        .. AugmentedDimensions > 0 ? (Citation[])[Publications.Augmented] : [],
    ];

    /// <summary>
    /// The same with the groups that suit the state. Each has channels of the convolutions in front: one of zeros alone would be divided
    /// by nearly nothing as soon as it moves. Each has some numbers: of two, a normalisation leaves their signs. Both make an equation
    /// that is stiff before it has learned anything.
    /// </summary>
    public ConvolutionalDescription WithGroups()
    {
        const int FewestNumbers = 8;
        int places = StateSize.Height * StateSize.Width;
        int groups = (int)ConvolutionalDynamics.LargestGroups(
            StateChannels, Math.Max(Math.Max(2, AugmentedDimensions + 1), (FewestNumbers + places - 1) / places));
        return this with { Groups = groups == ConvolutionalDynamics.DefaultGroups(StateChannels) ? null : groups };
    }

    public override NeuralOdeNetwork Create() => new ImageNetwork(this);

    /// <summary>The channels of the state beyond those of the convolutions in front; null for none.</summary>
    public StateAugmentation? CreateAugmentation()
    {
        if (AugmentedDimensions == 0)
            return null;
        return LearnsAugmentation
            ? StateAugmentation.Linear(Channels, AugmentedDimensions) : StateAugmentation.Zeros(AugmentedDimensions);
    }

    public override long WeightCount()
    {
        try
        {
            checked
            {
                long c = Channels, s = c + (long)AugmentedDimensions, norm = 2 * s;
                long front = Convolution(Image.Channels, c, FirstKernel) + 2 * Convolution(c, c, HalvingKernel) + 2 * 2 * c;
                long lift = LearnsAugmentation ? Convolution(c, AugmentedDimensions, 1) : 0;
                long head = norm + (s + 1) * OutputCount;
                long dynamics = DynamicsConvolutions * Convolution(s, s, DynamicsKernel) + (DynamicsConvolutions + 1) * norm;
                return front + lift + head + BlockKind switch
                {
                    ConvolutionalBlock.Ode => dynamics + DynamicsConvolutions * s * DynamicsKernel * DynamicsKernel,
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
        if (AugmentedDimensions is < 0 or > MostAugmentedDimensions
            || (AugmentedDimensions > 0 && BlockKind == ConvolutionalBlock.None))
            return $"it has {AugmentedDimensions} augmented dimensions";
        if (LearnsAugmentation && AugmentedDimensions == 0)
            return "it learns augmented dimensions that it does not have";
        if (Groups is { } groups && (groups <= 0 || StateChannels % groups != 0))
            return $"it normalises {StateChannels} channels in {groups} groups";
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
        if (images.AugmentedDimensions != AugmentedDimensions)
            return $"{AugmentedDimensions} and {images.AugmentedDimensions} augmented dimensions";
        if (images.LearnsAugmentation != LearnsAugmentation)
            return "augmented dimensions that are learned and such that are zero";
        if (images.StateGroups != StateGroups)
            return $"{StateGroups} and {images.StateGroups} groups of channels";
        return images.Layers != Layers ? $"{Layers} and {images.Layers} residual layers" : null;
    }

    public override string? ExpectedDimensions(IReadOnlyList<int> dimensions) => ImageColumns.Expected(Image, dimensions);
}
