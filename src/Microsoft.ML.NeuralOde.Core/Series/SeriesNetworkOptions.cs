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

    /// <summary>
    /// Whether the matrices of linear equations only turn the state and let it decay, by rates that depend on the input, so that it cannot
    /// grow on long and rough series whatever the weights are; of no use to other models. Default: true.
    /// </summary>
    public bool Dissipative { get; init; } = true;

    /// <summary>1, or 2 with areas between channels within a window, of a log-neural equation. Default: 1.</summary>
    public int Depth { get; init; } = 1;

    /// <summary>The number of pieces of the path that a log-neural equation takes at once. Default: 1.</summary>
    public int Window { get; init; } = 1;

    /// <summary>Sizes of the hidden layers of a neural equation; null for one of the state's size.</summary>
    public IReadOnlyList<long>? Hidden { get; init; }

    /// <summary>How a neural equation is solved; null for its defaults.</summary>
    public OdeSolverOptions? Solver { get; init; }

    /// <summary>The share of a layer's features that training leaves out at random, from 0 to below 1. Default: 0.1.</summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>Checks every option.</summary>
    /// <exception cref="ArgumentException">An option has a value that makes no sense; the message names it, the value and the
    /// remedy.</exception>
    public void Validate()
    {
        Require(Enum.IsDefined(Model), nameof(Model), Model, "one of the models");
        Require(Enum.IsDefined(Path), nameof(Path), Path, "one of the interpolations");
        Require(Width > 0, nameof(Width), Width, "a positive number");
        Require(BlockSize > 0, nameof(BlockSize), BlockSize, "a positive number");
        Require(Model != SeriesModel.Linear || Width % BlockSize == 0, nameof(Width), Width, $"a multiple of the block size, {BlockSize}");
        Require(Layers > 0, nameof(Layers), Layers, "a positive number");
        Require(Depth is 1 or 2, nameof(Depth), Depth, "1 or 2");
        Require(Window > 0, nameof(Window), Window, "a positive number");
        Require(Model == SeriesModel.LogNeural || Depth == 1, nameof(Depth), Depth, "1 but for the log-neural model");
        Require(Model == SeriesModel.LogNeural || Window == 1, nameof(Window), Window, "1 but for the log-neural model");
        Require(Hidden is null || Hidden.All(size => size > 0), nameof(Hidden), OptionText.Of(Hidden?.Min() ?? 0),
            "a list of positive numbers");
        Require(Dropout is >= 0 and < 1, nameof(Dropout), Dropout, "from 0 to below 1");
    }

    private static void Require(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentException($"{nameof(SeriesNetworkOptions)}.{option} is {found ?? "null"}; it must be {expected}.", option);
    }
}
