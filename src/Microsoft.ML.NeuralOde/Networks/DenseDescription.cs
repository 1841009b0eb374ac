using System.Text.Json.Serialization;
using Module = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>Networks whose right-hand side is <see cref="DenseDynamics"/>: the first kind, which files without a kind hold.</summary>
internal sealed record DenseDescription(
    int FeatureCount, int OutputCount, int[] EncoderLayers, int[] DynamicsLayers, double EndTime, string Solver, double RelativeTolerance,
    double AbsoluteTolerance, double? StepSize)
    : EncodedDescription(FeatureCount, OutputCount, EncoderLayers, EndTime, Solver, RelativeTolerance, AbsoluteTolerance, StepSize)
{
    public const string KindName = "dense";
    public const int KindVersion = 2;

    public override string Kind => KindName;

    /// <summary>What the layers compute, by the name of a <see cref="DynamicsForm"/>; null in files that do not have it: dy/dt.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Form { get; init; }

    // Older versions would read such a description as another network's.
    public override int Version => IsAugmented || Form is not null ? KindVersion : 1;

    [JsonIgnore]
    public override bool HasVelocities => Form is not null;

    [JsonIgnore]
    public override IReadOnlyList<Citation> Citations => FormOf(Form) switch
    {
        DynamicsForm.SecondOrder => [.. base.Citations, Publications.SecondOrder],
        DynamicsForm.HeavyBall => [.. base.Citations, Publications.HeavyBall],
        DynamicsForm.Hamiltonian or DynamicsForm.SeparableHamiltonian => [.. base.Citations, Publications.Hamiltonian],
        _ => base.Citations,
    };

    private int Positions => StateSize / 2;

    public override Module CreateDynamics()
    {
        long[] hidden = [.. DynamicsLayers.Select(size => (long)size)];
        return FormOf(Form) switch
        {
            DynamicsForm.SecondOrder => new SecondOrderDynamics(Positions, hidden),
            DynamicsForm.HeavyBall => new HeavyBallDynamics(Positions, hidden),
            DynamicsForm.Hamiltonian => new HamiltonianDynamics(Positions, hidden),
            DynamicsForm.SeparableHamiltonian => new HamiltonianDynamics(Positions, hidden, isSeparable: true),
            _ => new DenseDynamics(StateSize, hidden),
        };
    }

    public override string Summarize(Module dynamics) => dynamics is not DenseDynamics ? $"{dynamics}"
        : $"layers {string.Join(", ", [StateSize, .. DynamicsLayers, StateSize])}, "
        + $"{((DenseDynamics)dynamics).Activation.ToString().ToLowerInvariant()}";

    public override long WeightCount()
    {
        // Beside the layers there are the weights of time and of the damping, and energies lack their last bias.
        (int inputs, int outputs, int networks, int beside) = FormOf(Form) switch
        {
            DynamicsForm.SecondOrder => (StateSize, Positions, 1, Positions),
            DynamicsForm.HeavyBall => (Positions, Positions, 1, Positions + 1),
            DynamicsForm.Hamiltonian => (StateSize, 1, 1, -1),
            DynamicsForm.SeparableHamiltonian => (Positions, 1, 2, -2),
            _ => (StateSize, StateSize, 1, StateSize),
        };
        long others = base.WeightCount(), dynamics = CountLayers([inputs, .. DynamicsLayers, outputs]);
        Int128 sum = (Int128)others + (Int128)networks * dynamics + beside;
        return sum > long.MaxValue ? long.MaxValue : (long)sum;
    }

    public override string? FindDefect()
    {
        if (!Array.TrueForAll(DynamicsLayers, size => size > 0))
            return "a size of its network is not positive";
        if (FormOf(Form) is not { } form)
            return $"the form of its equation is '{Form}', which this version of Microsoft.ML.NeuralOde does not know";
        return form is DynamicsForm.Hamiltonian or DynamicsForm.SeparableHamiltonian && DynamicsLayers.Length == 0
            ? "its energy has no layers" : base.FindDefect();
    }

    public override string? DifferenceOfStructure(NetworkDescription other) => base.DifferenceOfStructure(other)
        ?? (other is not DenseDescription dense ? null
            : Form != dense.Form
            ? $"equations of the forms {Form ?? nameof(DynamicsForm.FirstOrder)} and {dense.Form ?? nameof(DynamicsForm.FirstOrder)}"
            : Difference(nameof(DynamicsLayers), DynamicsLayers, dense.DynamicsLayers));

    /// <summary>The text of a form in descriptions.</summary>
    public static string? TextOf(DynamicsForm form) => form == DynamicsForm.FirstOrder ? null : form.ToString();

    /// <summary>The form of a text; null where there is none.</summary>
    private static DynamicsForm? FormOf(string? text)
    {
        if (text is null)
            return DynamicsForm.FirstOrder;
        return Enum.GetNames<DynamicsForm>().Contains(text) && text != nameof(DynamicsForm.FirstOrder)
            ? Enum.Parse<DynamicsForm>(text) : null;
    }
}
