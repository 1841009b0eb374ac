namespace Microsoft.ML.NeuralOde;

/// <summary>How a <see cref="LatentOde"/> reads observations.</summary>
public enum LatentRecognition
{
    /// <summary>
    /// A gated recurrent unit at the observations, between which its state follows dynamics of its own over the gap in time
    /// (Y. Rubanova, R. T. Q. Chen, D. Duvenaud, Latent Ordinary Differential Equations for Irregularly-Sampled Time Series, 2019).
    /// </summary>
    OdeRnn,

    /// <summary>A gated recurrent unit that is told the gaps between observations: the cheaper one.</summary>
    ReversedGru,
}

/// <summary>How the latent state of a <see cref="LatentOde"/> moves through time.</summary>
public enum LatentEvolution
{
    /// <summary>It follows a learned differential equation, which is solved.</summary>
    Ode,

    /// <summary>
    /// A learned flow gives the state at any time at once, without a solver (M. Biloš, J. Sommer, S. S. Rangapuram, T. Januschowski,
    /// S. Günnemann, Neural Flows: Efficient Alternative to Neural ODEs, 2021).
    /// </summary>
    Flow,
}

/// <summary>The time at which the latent state of a <see cref="LatentOde"/> is inferred: of a row's own observations.</summary>
public enum LatentAnchor
{
    /// <summary>The first one; recognition runs backward. For interpolation, and where dynamics are sought.</summary>
    Start,

    /// <summary>The last one; recognition runs forward. For forecasts, which then do not begin with the errors of a whole series.</summary>
    End,
}

/// <summary>The shape of a <see cref="LatentOde"/> and how it is solved.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record LatentOdeOptions
{
    /// <summary>The number of channels of the series. Default: 1.</summary>
    public long Channels { get; init; } = 1;

    /// <summary>The size of the latent state. Default: 16.</summary>
    public long LatentSize { get; init; } = 16;

    /// <summary>The width of the recognition's state and of the hidden layers of all networks. Default: 64.</summary>
    public long HiddenSize { get; init; } = 64;

    /// <summary>How observations are read. Default: <see cref="LatentRecognition.ReversedGru"/>.</summary>
    public LatentRecognition Recognition { get; init; } = LatentRecognition.ReversedGru;

    /// <summary>How the latent state moves. Default: <see cref="LatentEvolution.Ode"/>.</summary>
    public LatentEvolution Evolution { get; init; } = LatentEvolution.Ode;

    /// <summary>When the latent state is inferred. Default: <see cref="LatentAnchor.End"/>.</summary>
    public LatentAnchor Anchor { get; init; } = LatentAnchor.End;

    /// <summary>
    /// Whether the latent state is a distribution, whose spread widens the forecasts' where observations leave it open. Default: true.
    /// False for one state, as of an ODE-RNN or a GRU-ODE: the noise of the observations is then the only spread.
    /// </summary>
    public bool Variational { get; init; } = true;

    /// <summary>
    /// Whether the latent state may make the noise of a channel larger or smaller, up to 20 times: intervals then widen where little was
    /// observed, while points that are hard to predict count less in the loss. Default: false, one number a channel.
    /// </summary>
    public bool StateNoise { get; init; }

    /// <summary>The number of covariates that a row has once, such as a kind or a size. Default: 0.</summary>
    public long StaticCovariates { get; init; }

    /// <summary>The number of channels of covariates that change in time, and are known beyond the observations. Default: 0.</summary>
    public long Covariates { get; init; }

    /// <summary>The method by which the latent equation is solved. Default: <see cref="OdeMethod.Rk4"/>.</summary>
    /// <remarks>With steps of fixed size, so that no row has a part in another's.</remarks>
    public OdeMethod Method { get; init; } = OdeMethod.Rk4;

    /// <summary>
    /// The size of its steps, in the unit of the times. Default: 1/32, for times in which a series takes about 1. Between steps the
    /// solution is a cubic. The equation begins with periods of four steps and longer: take smaller steps where a series has more than
    /// eight.
    /// </summary>
    public double StepSize { get; init; } = 1.0 / 32;

    /// <summary>The seed of the latent samples over which forecasts are averaged. Default: 0.</summary>
    public int Seed { get; init; }

    /// <summary>Checks every option.</summary>
    /// <exception cref="ArgumentException">An option has a value that makes no sense; the message names it, the value and the
    /// remedy.</exception>
    public void Validate()
    {
        Require(Channels > 0, nameof(Channels), Channels, "a positive number");
        Require(LatentSize > 0, nameof(LatentSize), LatentSize, "a positive number");
        Require(HiddenSize > 0, nameof(HiddenSize), HiddenSize, "a positive number");
        Require(Enum.IsDefined(Recognition), nameof(Recognition), Recognition, "one of the kinds of recognition");
        Require(Enum.IsDefined(Evolution), nameof(Evolution), Evolution, "one of the kinds of evolution");
        Require(Enum.IsDefined(Anchor), nameof(Anchor), Anchor, "one of the anchors");
        Require(Evolution == LatentEvolution.Ode || LatentSize > 1, nameof(LatentSize), LatentSize,
            "at least 2 for a flow, whose halves move each other");
        Require(StaticCovariates >= 0, nameof(StaticCovariates), StaticCovariates, "zero or a positive number");
        Require(Covariates >= 0, nameof(Covariates), Covariates, "zero or a positive number");
        Require(Method is not null, nameof(Method), Method, "a method");
        Require(StepSize > 0 && double.IsFinite(StepSize), nameof(StepSize), OptionText.Of(StepSize), "a positive number");
    }

    private static void Require(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentException($"{nameof(LatentOdeOptions)}.{option} is {found ?? "null"}; it must be {expected}.", option);
    }
}
