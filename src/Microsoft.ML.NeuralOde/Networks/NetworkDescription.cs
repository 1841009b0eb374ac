using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// The structure of a network and how its equation is solved for predictions, as it stands in a model file. Each kind of network is a
/// record of its own, which makes the networks of its kind and knows what can be wrong with a description; a new one is entered in
/// <see cref="NetworkKind.All"/>.
/// </summary>
[JsonConverter(typeof(NetworkDescriptionConverter))]
internal abstract record NetworkDescription(
    int FeatureCount, int OutputCount, double EndTime, string Solver, double RelativeTolerance, double AbsoluteTolerance, double? StepSize)
{
    /// <summary>Dimensions that a state can be given beyond its own.</summary>
    public const int MostAugmentedDimensions = 65536;

    /// <summary>The name of the kind, by which a file is read.</summary>
    public abstract string Kind { get; }

    /// <summary>The version of the kind's description.</summary>
    public abstract int Version { get; }

    /// <summary>Whether rows come without their zeros, which then stay zeros; false in files that do not have it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool SparseFeatures { get; init; }

    /// <summary>Whether such a network can take rows without their zeros.</summary>
    [JsonIgnore]
    public virtual bool TakesSparse => false;

    /// <summary>Whether there is an equation that a solver solves, with steps and tolerances.</summary>
    [JsonIgnore]
    public virtual bool SolvesEquation => true;

    /// <summary>The publications of the model and of its solver.</summary>
    [JsonIgnore]
    public virtual IReadOnlyList<Citation> Citations => [Publications.NeuralOde, .. OdeMethod.Parse(Solver).Citations];

    /// <summary>A network with random weights.</summary>
    public abstract NeuralOdeNetwork Create();

    /// <summary>The same description with what it only names, which is found where a model is loaded.</summary>
    /// <exception cref="InvalidOperationException">It is not there; the message says how to put it there.</exception>
    public virtual NetworkDescription Resolve(DynamicsCatalog catalog) => this;

    /// <summary>Looks, before data are read, whether such a network can be made and trained.</summary>
    /// <exception cref="InvalidOperationException">It cannot; the message says why.</exception>
    public virtual void Probe()
    {
    }

    /// <summary>
    /// The number of weights of such a network, as far as the description tells; more than any file holds where it overflows. No memory is
    /// taken for a network that has more of them than its file.
    /// </summary>
    public abstract long WeightCount();

    /// <summary>
    /// How the equation is solved for predictions: each row with its own steps, so that no row's result depends on its neighbours.
    /// </summary>
    public OdeSolverOptions ScoringOptions() => new()
    {
        Method = OdeMethod.Parse(Solver),
        RelativeTolerance = RelativeTolerance,
        AbsoluteTolerance = AbsoluteTolerance,
        StepSize = StepSize,
        PerRow = true,
    };

    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public virtual string? FindDefect()
    {
        if (FeatureCount <= 0 || OutputCount <= 0)
            return "a size of its network is not positive";
        if (SparseFeatures && !TakesSparse)
            return "it has sparse features and no layer that takes them";
        if (EndTime == 0 || !double.IsFinite(EndTime))
            return $"its end time is {EndTime}";
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

    /// <summary>
    /// The type of a feature column, as text, where vectors of as many numbers as the network takes mean something else by their
    /// dimensions; null where they fit.
    /// </summary>
    public virtual string? ExpectedDimensions(IReadOnlyList<int> dimensions) => null;

    /// <summary>What differs between two structures, as a clause; null where the weights of one fit the other.</summary>
    public virtual string? DifferenceOfStructure(NetworkDescription other)
    {
        if (Kind != other.Kind)
            return $"networks of the kinds '{Kind}' and '{other.Kind}'";
        if (FeatureCount != other.FeatureCount)
            return $"{FeatureCount} and {other.FeatureCount} features";
        return OutputCount != other.OutputCount ? $"{OutputCount} and {other.OutputCount} outputs" : null;
    }

    /// <summary>What is said where arrays that were read are not those of the network.</summary>
    /// <param name="array">The name of the first that does not fit.</param>
    /// <param name="what">What is wrong with it, as the rest of a sentence.</param>
    public virtual InvalidDataException Misfit(string array, string what) =>
        Persistence.PayloadReader.Damaged($"the weights '{array}' {what}");
}
