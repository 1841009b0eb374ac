using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The structure of a network on series, as it stands in a model file.</summary>
/// <param name="Model">The name of its <see cref="SeriesModel"/>.</param>
/// <param name="ChannelCount">The channels of the series.</param>
/// <param name="OutputCount">The numbers that it makes of a series.</param>
/// <param name="Width">The size of the equation's state.</param>
/// <param name="BlockSize">The size of a linear equation's blocks.</param>
/// <param name="Layers">The number of linear equations.</param>
/// <param name="HiddenLayers">The hidden layers of other equations.</param>
/// <param name="Depth">The depth of log-signatures.</param>
/// <param name="Window">The pieces of the path that are taken at once.</param>
/// <param name="Path">The name of the <see cref="PathInterpolation"/>.</param>
/// <param name="TimeChannel">Whether time is a channel.</param>
/// <param name="IntensityChannels">Whether counts of observations are channels.</param>
/// <param name="Dropout">The share of features that training leaves out.</param>
/// <param name="Solver">The method of equations that are not linear.</param>
/// <param name="RelativeTolerance">Its rtol.</param>
/// <param name="AbsoluteTolerance">Its atol.</param>
/// <param name="StepSize">Its step; null where the error sets it.</param>
/// <param name="Dissipative">Whether no matrix of a linear equation lets the state grow; false in files that do not say.</param>
internal sealed record CdeDescription(
    string Model, int ChannelCount, int OutputCount, int Width, int BlockSize, int Layers, int[] HiddenLayers, int Depth,
    int Window, string Path,
    bool TimeChannel, bool IntensityChannels, double Dropout, string Solver, double RelativeTolerance, double AbsoluteTolerance,
    double? StepSize,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Dissipative = false)
{
    /// <summary>More are surely a mistake.</summary>
    public const int MostLayers = 64;

    [JsonIgnore]
    public bool IsLinear => Model == nameof(SeriesModel.Linear);

    /// <summary>The publications of the model and, where there is one, of its solver.</summary>
    [JsonIgnore]
    public IReadOnlyList<Citation> Citations => Model switch
    {
        nameof(SeriesModel.Linear) => [Publications.NeuralCde, Publications.LinearCde],
        nameof(SeriesModel.LogNeural) => [Publications.NeuralCde, Publications.LogNeuralCde, .. OdeMethod.Parse(Solver).Citations],
        _ => [Publications.NeuralCde, .. OdeMethod.Parse(Solver).Citations],
    };

    /// <summary>The channels of the path.</summary>
    [JsonIgnore]
    public long PathChannels => (IntensityChannels ? 2L : 1L) * ChannelCount + (TimeChannel ? 1 : 0);

    /// <summary>How the fitted model is solved.</summary>
    public OdeSolverOptions ScoringOptions() => new()
    {
        Method = OdeMethod.Parse(Solver),
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        PerRow = true,
    };

    /// <summary>A network with random weights.</summary>
    /// <param name="solver">How an equation that is not linear is solved.</param>
    public SeriesNetwork Create(OdeSolverOptions solver) => new(ChannelCount, OutputCount, new SeriesNetworkOptions
    {
        Model = Enum.Parse<SeriesModel>(Model),
        Path = Enum.Parse<PathInterpolation>(Path),
        Time = TimeChannel,
        Counts = IntensityChannels,
        Width = Width,
        BlockSize = BlockSize,
        Layers = Layers,
        Dissipative = Dissipative,
        Depth = Depth,
        Window = Window,
        Hidden = [.. HiddenLayers.Select(size => (long)size)],
        Solver = solver,
        Dropout = Dropout,
    });

    /// <summary>
    /// How many weights such a network has at least: no memory is taken for one that has more of them than its file.
    /// </summary>
    public double LeastWeightCount()
    {
        double ends = (PathChannels + OutputCount) * (double)Width;
        if (IsLinear)
            return ends + Layers * (double)Width * Width;
        int[] sizes = [Width, .. HiddenLayers];
        double equation = (double)sizes[^1] * Width * PathChannels;
        for (int i = 1; i < sizes.Length; i++)
            equation += (sizes[i - 1] + 1.0) * sizes[i];
        return ends + equation;
    }

    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (!Enum.TryParse(Model, out SeriesModel model) || !Enum.IsDefined(model))
            return $"its equation is '{Model}', which this version does not know";
        if (!Enum.TryParse(Path, out PathInterpolation path) || !Enum.IsDefined(path))
            return $"its path is '{Path}', which this version does not know";
        if (ChannelCount <= 0 || OutputCount <= 0 || Width <= 0 || Window <= 0 || BlockSize <= 0 || Layers is <= 0 or > MostLayers
            || Depth is not (1 or 2)
            || HiddenLayers is null || Array.Exists(HiddenLayers, size => size <= 0) || Dropout is not (>= 0 and < 1))
            return "a size of its network makes no sense";
        if (IsLinear && Width % BlockSize != 0)
            return $"its width {Width} is no multiple of its blocks' size {BlockSize}";
        if (model != SeriesModel.LogNeural && (Depth > 1 || Window > 1))
            return $"its equation takes no windows, but has depth {Depth} and window {Window}";
        try
        {
            ScoringOptions().Validate();
            return RelativeTolerance > 0 && AbsoluteTolerance > 0
                ? null : $"its tolerances are {RelativeTolerance} and {AbsoluteTolerance}";
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }

    /// <summary>What differs between two structures, as a clause; null where the weights of one fit the other.</summary>
    public string? DifferenceOfStructure(CdeDescription other)
    {
        (string Name, string Own, string Other)[] parts =
        [
            (nameof(Model), Model, other.Model), ("channels", $"{ChannelCount}", $"{other.ChannelCount}"),
            ("outputs", $"{OutputCount}", $"{other.OutputCount}"), (nameof(Width), $"{Width}", $"{other.Width}"),
            (nameof(BlockSize), $"{BlockSize}", $"{other.BlockSize}"), (nameof(Layers), $"{Layers}", $"{other.Layers}"),
            (nameof(HiddenLayers), string.Join(", ", HiddenLayers), string.Join(", ", other.HiddenLayers)),
            (nameof(Depth), $"{Depth}", $"{other.Depth}"), (nameof(TimeChannel), $"{TimeChannel}", $"{other.TimeChannel}"),
            (nameof(IntensityChannels), $"{IntensityChannels}", $"{other.IntensityChannels}"),
            (nameof(Dissipative), $"{Dissipative}", $"{other.Dissipative}"),
        ];
        return Array.Find(parts, part => part.Own != part.Other) is { Name: not null } found
            ? $"{found.Name} {found.Own} and {found.Other}" : null;
    }
}
