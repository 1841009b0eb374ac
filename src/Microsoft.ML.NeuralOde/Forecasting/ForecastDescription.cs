using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The structure of a forecaster, as it stands in a model file.</summary>
/// <param name="Horizon">The steps that are forecast.</param>
/// <param name="ContextLength">The observations that are looked at.</param>
/// <param name="LatentSize">The size of the latent state.</param>
/// <param name="HiddenSize">The width of its networks.</param>
/// <param name="Recognition">The name of a <see cref="LatentRecognition"/>.</param>
/// <param name="Evolution">The name of a <see cref="LatentEvolution"/>.</param>
/// <param name="Variational">Whether the latent state is a distribution.</param>
/// <param name="Solver">The method of the latent equation.</param>
/// <param name="StepSize">Its step, where the context takes 1.</param>
/// <param name="Samples">The latent samples of a forecast.</param>
/// <param name="Channels">The channels of a series.</param>
/// <param name="Exogenous">Its exogenous columns.</param>
internal sealed record ForecastDescription(
    int Horizon, int ContextLength, int LatentSize, int HiddenSize, string Recognition, string Evolution, bool Variational, string Solver,
    double StepSize, int Samples, int Channels = 1, int Exogenous = 0)
{
    /// <summary>Of a linear map, at most: 1 GiB.</summary>
    internal const long MostWeights = 1 << 27;

    private const int MostColumns = 1 << 12;

    /// <summary>
    /// The steps behind the last observed value for which there are maps: those of the horizon, and some for values missing at the end.
    /// </summary>
    [JsonIgnore]
    public int Leads => LeadsOf(Horizon);

    /// <summary>What the linear maps read.</summary>
    [JsonIgnore]
    public LinearShape Linear => new(Leads, ContextLength, Channels, Exogenous);

    public static int LeadsOf(int horizon) => horizon + Math.Clamp(horizon / 2, 1, 8);

    /// <summary>The latent equation with random weights.</summary>
    public LatentOde Create() => new(ToOptions());

    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (Horizon is <= 0 or > 1 << 20
            || ContextLength is < 2 or > 1 << 20 || LatentSize is <= 0 or > 1 << 15 || HiddenSize is <= 0 or > 1 << 15
            || Samples is <= 0 or > 1 << 20 || Channels is <= 0 or > MostColumns || Exogenous is < 0 or > MostColumns)
            return "a size of its network makes no sense";
        if (Linear.Weights > MostWeights)
            return $"its linear map has {Linear.Weights} weights";
        if (!Enum.TryParse(Recognition, out LatentRecognition recognition) || !Enum.IsDefined(recognition))
            return $"its recognition is '{Recognition}', which this version does not know";
        if (!Enum.TryParse(Evolution, out LatentEvolution evolution) || !Enum.IsDefined(evolution))
            return $"its evolution is '{Evolution}', which this version does not know";
        try
        {
            ToOptions().Validate();
            return null;
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }

    private LatentOdeOptions ToOptions() => new()
    {
        Channels = Channels,
        Covariates = Exogenous,
        LatentSize = LatentSize,
        HiddenSize = HiddenSize,
        Recognition = Enum.Parse<LatentRecognition>(Recognition),
        Evolution = Enum.Parse<LatentEvolution>(Evolution),
        Variational = Variational,
        Method = OdeMethod.Parse(Solver),
        StepSize = StepSize,
    };
}
