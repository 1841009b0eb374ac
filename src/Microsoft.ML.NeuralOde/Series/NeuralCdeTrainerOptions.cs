using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers on series have in common: the columns of series, the equation.</summary>
/// <remarks>
/// The options of all trainers hold here as well; <see cref="NeuralOdeTrainerOptions.FeatureColumnName"/> is the column of values, and the
/// defaults of <see cref="NeuralOdeTrainerOptions.NumberOfEpochs"/> (60), <see cref="NeuralOdeTrainerOptions.BatchSize"/> (16),
/// <see cref="NeuralOdeTrainerOptions.MaximumGradientNorm"/> (1),
/// <see cref="NeuralOdeTrainerOptions.Solver"/> (<see cref="OdeMethod.Rk4"/>) and <see cref="NeuralOdeTrainerOptions.StepSize"/> (1) are
/// others. A linear equation has no solver; other models are solved along the number of the observation, in which a step of 1 leads from
/// one to the next.
/// </remarks>
public abstract class NeuralCdeTrainerOptions : NeuralOdeSupervisedOptions
{
    internal const int DefaultNumberOfEpochs = 60;
    internal const int DefaultBatchSize = 16;
    internal const double DefaultLearningRate = 3e-3;

    private const string WindowRule = "1 where Model is not LogNeural";

    private protected NeuralCdeTrainerOptions()
    {
        FeatureColumnName = SeriesAnnotations.Values;
        NumberOfEpochs = DefaultNumberOfEpochs;
        BatchSize = DefaultBatchSize;
        LearningRate = DefaultLearningRate;
        MaximumGradientNorm = 1;
        Solver = OdeMethod.Rk4;
        StepSize = 1;
    }

    /// <summary>
    /// The column of times, a vector of Single or Double of any length, which increase within each series; null for 0, 1, 2, …. Default:
    /// “Times”, where the training data have such a column.
    /// </summary>
    public string? TimeColumnName = SeriesAnnotations.Times;

    /// <summary>
    /// Columns of values, one a channel, instead of the single one of <see cref="NeuralOdeTrainerOptions.FeatureColumnName"/>. Default:
    /// null.
    /// </summary>
    public string[]? ChannelColumnNames;

    /// <summary>
    /// The number of channels in the single column of values, where a time's channels stand after those of the time before. Default: null,
    /// what the annotation ChannelCount of the column says, or one.
    /// </summary>
    public int? ChannelCount;

    /// <summary>The equation. Default: <see cref="SeriesModel.Linear"/>, which has no solver and is many times faster than the
    /// others.</summary>
    public SeriesModel Model = SeriesModel.Linear;

    /// <summary>The size of the equation's state. Default: 64.</summary>
    public int Width = 64;

    /// <summary>The number of linear equations on top of each other; of no use to other models. Default: 2.</summary>
    public int Layers = 2;

    /// <summary>The size of the blocks of a linear equation's matrices, which divides the width. Default: 4.</summary>
    public int BlockSize = 4;

    /// <summary>
    /// Whether the matrices of a linear equation only turn the state and let it decay, by rates that depend on the series, so that it
    /// cannot grow on long and rough series whatever the weights are; of no use to other models. Default: true.
    /// </summary>
    public bool Dissipative = true;

    /// <summary>Sizes of the hidden layers of F, of equations that are not linear. Default: 64.</summary>
    public int[] HiddenLayers = [64];

    /// <summary>How the path leads from one observation to the next. Default: <see cref="PathInterpolation.Linear"/>.</summary>
    public PathInterpolation Path = PathInterpolation.Linear;

    /// <summary>Whether time is a channel of the path. Default: true.</summary>
    public bool TimeChannel = true;

    /// <summary>
    /// Whether the number of observations of each channel up to now are channels of the path, too: for data in which it says something that
    /// a value was observed. Default: false.
    /// </summary>
    public bool IntensityChannels;

    /// <summary>The depth of the log-signatures of <see cref="SeriesModel.LogNeural"/>, 1 or 2. Default: 1.</summary>
    public int Depth = 1;

    /// <summary>
    /// The number of pieces of the path between observations that <see cref="SeriesModel.LogNeural"/> takes at once: more are faster on
    /// long series. Default: 1.
    /// </summary>
    public int Window = 1;

    /// <summary>The share of a layer's features that training leaves out at random, from 0 to below 1. Default: 0.1.</summary>
    public double Dropout = 0.1;

    /// <summary>Random changes of the series of each training batch. Default: the defaults of <see cref="SeriesAugmentation"/>.</summary>
    public SeriesAugmentation Augmentation = new();

    internal override NeuralOdeTrainerOptions Clone()
    {
        var copy = (NeuralCdeTrainerOptions)base.Clone();
        copy.HiddenLayers = (int[])HiddenLayers?.Clone()!;
        copy.ChannelColumnNames = (string[]?)ChannelColumnNames?.Clone();
        return copy;
    }

    internal override void Validate()
    {
        base.Validate();
        Require(TimeColumnName is null || !string.IsNullOrWhiteSpace(TimeColumnName), nameof(TimeColumnName), TimeColumnName,
            "the name of a column or null");
        Require(
            ChannelColumnNames is null || (ChannelColumnNames.Length > 0 && !ChannelColumnNames.Any(string.IsNullOrWhiteSpace)
                && ChannelColumnNames.Distinct().Count() == ChannelColumnNames.Length),
            nameof(ChannelColumnNames), ChannelColumnNames is null ? null : $"[{string.Join(", ", ChannelColumnNames)}]",
            "the names of different columns, or null");
        Require(ChannelCount is null or > 0, nameof(ChannelCount), ChannelCount, "at least 1, or null");
        Require(ChannelCount is null || ChannelColumnNames is null || ChannelColumnNames.Length == ChannelCount,
            nameof(ChannelCount), ChannelCount,
            "null where there is a column for each channel");
        RequireDefined(Model, nameof(Model));
        Require(Width > 0, nameof(Width), Width, "at least 1");
        Require(Layers is > 0 and <= CdeDescription.MostLayers, nameof(Layers), Layers, $"from 1 to {CdeDescription.MostLayers}");
        Require(BlockSize > 0 && (Model != SeriesModel.Linear || Width % BlockSize == 0), nameof(BlockSize), BlockSize,
            $"a positive number that divides Width, {Width}");
        Require(HiddenLayers is not null && Array.TrueForAll(HiddenLayers, size => size > 0), nameof(HiddenLayers),
            HiddenLayers is null ? null : $"[{string.Join(", ", HiddenLayers)}]", "a list of positive sizes");
        RequireDefined(Path, nameof(Path));
        Require(Depth is 1 or 2, nameof(Depth), Depth, "1 or 2");
        Require(Window > 0, nameof(Window), Window, "at least 1");
        Require(Window == 1 || Model == SeriesModel.LogNeural, nameof(Window), Window, WindowRule);
        Require(Depth == 1 || Model == SeriesModel.LogNeural, nameof(Depth), Depth, WindowRule);
        Require(Dropout is >= 0 and < 1, nameof(Dropout), Dropout, "from 0 to below 1");
        Require(Augmentation is not null, nameof(Augmentation), Augmentation, "a SeriesAugmentation such as SeriesAugmentation.None");
        if (Augmentation.FindDefect() is { } defect)
            Require(false, $"{nameof(Augmentation)}.{defect.Option}", defect.Found, defect.Expected);
    }

    /// <summary>The columns that series are read from in training data.</summary>
    internal SeriesColumns ToColumns() => new(
        TimeColumnName, ChannelColumnNames ?? [FeatureColumnName], ChannelCount,
        TimesMayBeMissing: TimeColumnName == SeriesAnnotations.Times);
}
