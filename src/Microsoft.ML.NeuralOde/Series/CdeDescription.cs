using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The structure of a network on series, as it stands in a model file.</summary>
/// <param name="Kind">The name of its <see cref="NeuralCdeKind"/>.</param>
/// <param name="ChannelCount">The channels of the series.</param>
/// <param name="OutputCount">The numbers that it makes of a series.</param>
/// <param name="Width">The size of the equation's state.</param>
/// <param name="BlockSize">The size of a linear equation's blocks.</param>
/// <param name="HiddenLayers">The hidden layers of other equations.</param>
/// <param name="Depth">The depth of log-signatures.</param>
/// <param name="Window">The pieces of the path that are taken at once.</param>
/// <param name="Path">The name of the <see cref="PathInterpolation"/>.</param>
/// <param name="TimeChannel">Whether time is a channel.</param>
/// <param name="IntensityChannels">Whether counts of observations are channels.</param>
/// <param name="Solver">The method of equations that are not linear.</param>
/// <param name="RelativeTolerance">Its rtol.</param>
/// <param name="AbsoluteTolerance">Its atol.</param>
/// <param name="StepSize">Its step; null where the error sets it.</param>
internal sealed record CdeDescription(
    string Kind, int ChannelCount, int OutputCount, int Width, int BlockSize, int[] HiddenLayers, int Depth, int Window, string Path,
    bool TimeChannel, bool IntensityChannels, string Solver, double RelativeTolerance, double AbsoluteTolerance, double? StepSize)
{
    [JsonIgnore]
    public NeuralCdeKind EquationKind => Enum.Parse<NeuralCdeKind>(Kind);

    [JsonIgnore]
    public PathInterpolation Interpolation => Enum.Parse<PathInterpolation>(Path);

    /// <summary>The channels of the values that the path is led through.</summary>
    [JsonIgnore]
    public long ValueChannels => IntensityChannels ? 2L * ChannelCount : ChannelCount;

    /// <summary>The channels of the path.</summary>
    [JsonIgnore]
    public long PathChannels => ValueChannels + (TimeChannel ? 1 : 0);

    /// <summary>The numbers of a series that the last layer reads.</summary>
    [JsonIgnore]
    public long ReadoutSize => 2L * Width;

    /// <summary>How the fitted model is solved.</summary>
    public OdeSolverOptions ScoringOptions() => new()
    {
        Method = OdeMethod.Parse(Solver),
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        PerRow = true,
    };

    /// <summary>At least as many weights as the network has, but for an estimate that is beyond all memory.</summary>
    public double WeightCount()
    {
        double features = Depth == 1 ? PathChannels : PathChannels + PathChannels * (PathChannels - 1) / 2.0;
        double equation = (PathChannels + 1.0) * Width;
        if (EquationKind == NeuralCdeKind.Linear)
            equation += PathChannels * (BlockSize + 1.0) * Width;
        else
        {
            int[] sizes = [Width, .. HiddenLayers];
            for (int i = 1; i < sizes.Length; i++)
                equation += (sizes[i - 1] + 1.0) * sizes[i];
            equation += (sizes[^1] + 1.0) * Width * features;
        }
        return equation + (Width + 1.0) * Width + (ReadoutSize + 1.0) * OutputCount;
    }

    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (!Enum.TryParse(Kind, out NeuralCdeKind kind) || !Enum.IsDefined(kind))
            return $"its equation is of the kind '{Kind}', which this version does not know";
        if (!Enum.TryParse(Path, out PathInterpolation path) || !Enum.IsDefined(path))
            return $"its path is '{Path}', which this version does not know";
        if (ChannelCount <= 0 || OutputCount <= 0 || Width <= 0 || Window <= 0 || BlockSize <= 0 || Depth is not (1 or 2)
            || HiddenLayers is null || Array.Exists(HiddenLayers, size => size <= 0))
            return "a size of its network is not positive";
        if (kind == NeuralCdeKind.Linear && Width % BlockSize != 0)
            return $"its width {Width} is no multiple of its blocks' size {BlockSize}";
        try
        {
            ScoringOptions().Validate();
            return RelativeTolerance > 0 && AbsoluteTolerance > 0 ? null : $"its tolerances are {RelativeTolerance} and {AbsoluteTolerance}";
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }

    /// <summary>What differs between two structures, as a clause; null where the weights of one fit the other.</summary>
    public string? DifferenceOfStructure(CdeDescription other)
    {
        CdeDescription solved = other with
        {
            Solver = Solver, RelativeTolerance = RelativeTolerance, AbsoluteTolerance = AbsoluteTolerance, StepSize = StepSize, HiddenLayers = HiddenLayers,
        };
        if (!HiddenLayers.AsSpan().SequenceEqual(other.HiddenLayers))
            return $"HiddenLayers [{string.Join(", ", HiddenLayers)}] and [{string.Join(", ", other.HiddenLayers)}]";
        return this == solved ? null : $"{this} and {solved}";
    }
}
