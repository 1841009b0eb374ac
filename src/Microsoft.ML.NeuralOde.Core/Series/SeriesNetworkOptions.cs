namespace Microsoft.ML.NeuralOde;

/// <summary>The equation of a <see cref="SeriesNetwork"/>.</summary>
public enum SeriesModel
{
    /// <summary>Linear controlled equations in layers, <see cref="LinearCde"/>: fast, and the best on most data.</summary>
    Linear,

    /// <summary>A neural controlled equation, <see cref="NeuralCde"/>.</summary>
    Neural,

    /// <summary>A neural controlled equation over windows of the path, <see cref="LogNeuralCde"/>.</summary>
    LogNeural,
}

/// <summary>The shape of a <see cref="SeriesNetwork"/>.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record SeriesNetworkOptions
{
    /// <summary>The equation. Default: <see cref="SeriesModel.Linear"/>.</summary>
    public SeriesModel Model { get; init; } = SeriesModel.Linear;

    /// <summary>How the path leads from one observation to the next. Default: <see cref="PathInterpolation.Linear"/>.</summary>
    public PathInterpolation Path { get; init; } = PathInterpolation.Linear;

    /// <summary>Whether time is a channel. Default: true.</summary>
    public bool Time { get; init; } = true;

    /// <summary>Whether counts of observations are channels. Default: false.</summary>
    public bool Counts { get; init; }

    /// <summary>The size of the state. Default: 64.</summary>
    public long Width { get; init; } = 64;

    /// <summary>The size of the blocks of a linear equation, of which the width is a multiple. Default: 4.</summary>
    public int BlockSize { get; init; } = 4;

    /// <summary>The number of linear equations on top of each other. Default: 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>1, or 2 with areas between channels within a window (linear with one layer, or log-neural). Default: 1.</summary>
    public int Depth { get; init; } = 1;

    /// <summary>The number of pieces of the path that are taken at once (linear with one layer, or log-neural). Default: 1.</summary>
    public int Window { get; init; } = 1;

    /// <summary>Sizes of the hidden layers of a neural equation; null for one of the state's size.</summary>
    public IReadOnlyList<long>? Hidden { get; init; }

    /// <summary>How a neural equation is solved; null for its defaults.</summary>
    public OdeSolverOptions? Solver { get; init; }

    /// <summary>The share of a layer's features that training leaves out at random, from 0 to below 1. Default: 0.1.</summary>
    public double Dropout { get; init; } = 0.1;
}
