using System.Text.Json.Serialization;
using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// Networks whose right-hand side is a module of the user's. A file holds its name and its weights; the class is found by the name.
/// </summary>
/// <param name="FeatureCount">Features of a row.</param>
/// <param name="OutputCount">Outputs of a row.</param>
/// <param name="EncoderLayers">Sizes of the linear layers in front of the equation.</param>
/// <param name="Dynamics">The name of the right-hand side.</param>
/// <param name="EndTime">The equation is solved on [0, EndTime].</param>
/// <param name="Solver">The numerical method.</param>
/// <param name="RelativeTolerance">rtol.</param>
/// <param name="AbsoluteTolerance">atol.</param>
/// <param name="StepSize">Its fixed step; null for error control.</param>
internal sealed record ModuleDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, string Dynamics, double EndTime, string Solver, double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize)
    : EncodedDescription(FeatureCount, OutputCount, EncoderLayers, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    public const string KindName = "module";
    public const int KindVersion = 2;

    public override string Kind => KindName;

    public override int Version => IsAugmented ? KindVersion : 1;

    /// <summary>What makes the module; null in a description that was read and not resolved.</summary>
    [JsonIgnore]
    public NeuralOdeDynamics? Source { get; init; }

    public override NetworkDescription Resolve(DynamicsCatalog catalog) => this with { Source = catalog.Find(Dynamics) };

    public override Module CreateDynamics() =>
        (Source ?? throw new InvalidOperationException($"The dynamics '{Dynamics}' were not looked up.")).Create(StateSize);

    public override void Probe() => ModuleProbe.Check(Source!, StateSize, ScoringOptions());

    public override string Summarize(Module dynamics) => $"{Dynamics} ({dynamics.GetType().Name}), state of {StateSize}";

    public override string? FindDefect() => string.IsNullOrWhiteSpace(Dynamics) ? "the name of its dynamics is missing" : base.FindDefect();

    public override string? DifferenceOfStructure(NetworkDescription other) => base.DifferenceOfStructure(other)
        ?? (other is ModuleDescription module && module.Dynamics != Dynamics ? $"the dynamics '{Dynamics}' and '{module.Dynamics}'" : null);

    public override InvalidDataException Misfit(string array, string what) =>
        !array.StartsWith(EncodedNetwork.DynamicsPrefix, StringComparison.Ordinal)
            ? base.Misfit(array, what)
            : new InvalidDataException(
                $"The dynamics '{Dynamics}' are not those that the model was saved with: the weights "
                + $"'{array[EncodedNetwork.DynamicsPrefix.Length..]}' {what}. "
                + "Register the module that the model was trained with under this name.");
}
