using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// What all kinds of networks have in common: normalised features become the initial state of an equation, and its final state becomes
/// outputs, from features <c>[batch, features]</c> to outputs <c>[batch, outputs]</c>.
/// </summary>
internal abstract class NeuralOdeNetwork(NetworkDescription description) : SupervisedNetwork<Tensor>(nameof(NeuralOdeNetwork))
{
    public NetworkDescription Description { get; } = description;

    protected override IReadOnlyList<int> InputWidths => [1, Description.FeatureCount];

    protected override int OutputWidth => Description.OutputCount;

    public abstract OdeBlock Block { get; }

    /// <summary>How the equation is solved for predictions.</summary>
    protected virtual OdeSolverOptions ScoringOptions => Block.Options;

    /// <summary>The equation's initial state of normalised features, with the batch as its first dimension.</summary>
    protected abstract Tensor Encode(Tensor features);

    /// <summary>The same of rows without their zeros, which stay zeros.</summary>
    /// <param name="features">The rows.</param>
    /// <param name="scale">What features are multiplied with, one number or one a slot; null for nothing.</param>
    /// <param name="inPieces">Whether the weights of the slots in use are to be a leaf of the graph by themselves.</param>
    protected virtual EncodedRows Encode(SparseBatch features, Tensor? scale, bool inPieces) =>
        new(Encode(scale is null ? features.ToDense() : features.ToDense().mul_(scale)), null);

    /// <summary>The weight of which a row without its zeros uses a few slots; null for none.</summary>
    public virtual Parameter? SlotWeight => null;

    /// <summary>Outputs <c>[batch, outputs]</c>, before they are turned into units of the label, of the equation's final state.</summary>
    protected abstract Tensor Decode(Tensor state);

    /// <summary>The layers in words, in the order in which normalised features go through them.</summary>
    protected abstract IEnumerable<NeuralOdeLayerSummary> Layers();

    /// <summary>Writes the network between its normalised features and its outputs as operators.</summary>
    /// <exception cref="NotSupportedException">It cannot be written; the message names what stands in the way.</exception>
    protected abstract string Write(OperatorGraph graph, string features, double? stepSize);

    /// <summary>
    /// The same outputs as <see cref="Solve(Tensor, OdeSolverOptions)"/> with the options for predictions, computed without tensors, with
    /// the weights as they are now; null where the kind or the options need the general solver.
    /// </summary>
    public virtual RowNetwork? ToRowNetwork() => null;

    /// <summary>Outputs for predictions, in units of the label.</summary>
    public override Tensor forward(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        return FromOutputs(Solve(features, ScoringOptions).Outputs).MoveToOuterDisposeScope();
    }

    /// <summary>Outputs before they are turned into units of the label, and what the solve cost.</summary>
    public (Tensor Outputs, SolverStatistics Statistics) Solve(Tensor features, OdeSolverOptions options) =>
        SolveEncoded(Encode(Normalized(features)), options);

    /// <summary>The states of the equation at some times, solved as for predictions, and what they cost.</summary>
    /// <exception cref="InvalidOperationException">The network solves no equation.</exception>
    public OdeSolution Path(Tensor features, Tensor times) => Description.SolvesEquation
        ? Ode.Solve(Block.Dynamics, Block.Augment(Encode(Normalized(features))), times, ScoringOptions)
        : throw new InvalidOperationException(
            "The model solves no equation, so that there are no states along one; a model with an ODE block has them.");

    /// <summary>The equation's initial states of rows in the format of the network.</summary>
    /// <param name="features">The rows.</param>
    /// <param name="inPieces">Whether the weights of the slots in use are to be a leaf of the graph by themselves.</param>
    /// <param name="change">Changes rows that have all their numbers before they are normalised; null for nothing.</param>
    public EncodedRows Encode(FeatureBatch features, bool inPieces, Func<Tensor, Tensor>? change = null)
    {
        if (features is SparseBatch sparse)
            return Encode(sparse, Normalization.Scale, inPieces);
        Tensor rows = features.ToDense();
        return new EncodedRows(Encode(Normalized(change is null ? rows : change(rows))), null);
    }

    /// <summary>Outputs for predictions of rows without their zeros, in units of the label.</summary>
    public Tensor Predict(SparseBatch features)
    {
        using DisposeScope scope = NewDisposeScope();
        return FromOutputs(SolveEncoded(Encode(features, inPieces: false).State, ScoringOptions).Outputs).MoveToOuterDisposeScope();
    }

    /// <summary>Whether features that are zero stay zero when they are normalised.</summary>
    public bool KeepsZeros => InputStatistics() is not { } statistics || !statistics.Mean.AsSpan().ContainsAnyExcept(0f);

    /// <summary>Outputs of encoded rows before they are turned into units of the label, and what the solve cost.</summary>
    /// <param name="state">The encoded rows.</param>
    /// <param name="options">How to solve.</param>
    /// <param name="endTime">Where the equation ends; null for the block's end time.</param>
    public (Tensor Outputs, SolverStatistics Statistics) SolveEncoded(Tensor state, OdeSolverOptions options, double? endTime = null)
    {
        (Tensor final, SolverStatistics statistics) = Integrate(state, options, endTime ?? Description.EndTime);
        return (Decode(final), statistics);
    }

    /// <summary>What the equation makes of its initial state, and what the solve cost.</summary>
    protected virtual (Tensor Final, SolverStatistics Statistics) Integrate(Tensor state, OdeSolverOptions options, double endTime)
    {
        OdeSolution solution = Block.SolveTo(endTime, state, options);
        return (solution.Final, solution.Statistics);
    }

    /// <summary>The same with what the path costs, a scalar.</summary>
    public (Tensor Outputs, SolverStatistics Statistics, Tensor Penalty) SolveEncoded(
        Tensor state, OdeSolverOptions options, PathRegularization regularization, double? endTime = null)
    {
        RegularizedSolution solution =
            regularization.Solve(Block.Dynamics, Block.Augment(state), 0, endTime ?? Description.EndTime, options);
        return (Decode(solution.Final), solution.Statistics, solution.Penalty);
    }

    /// <summary>The squared spectral norms of the right-hand side's weights, a scalar.</summary>
    public Tensor SpectralNorms() => SpectralNorm.Penalty(Block.Dynamics);

    /// <summary>The layers in words.</summary>
    public NeuralOdeModelSummary Summarize()
    {
        var layers = new List<NeuralOdeLayerSummary>();
        if (Normalization.Mean is { } mean)
            layers.Add(new NeuralOdeLayerSummary(
                "normalization", mean.numel() == 1 ? "one mean and deviation" : "mean and deviation of each feature", 0));
        layers.AddRange(Layers());
        return new NeuralOdeModelSummary(
            layers, Description.SolvesEquation ? Description.Solver : "", Description.RelativeTolerance, Description.AbsoluteTolerance,
            Description.StepSize, Description.EndTime);
    }

    /// <summary>Writes the network as operators.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="features">The features, <c>[batch, features]</c>.</param>
    /// <param name="stepSize">The size of the solver's steps; null for the network's own.</param>
    /// <returns>Outputs for predictions, in units of the label.</returns>
    /// <exception cref="NotSupportedException">The network cannot be written; the message names the option that stands in the
    /// way.</exception>
    public string Export(OperatorGraph graph, string features, double? stepSize)
    {
        string x = features;
        if (InputStatistics() is { } input)
        {
            x = graph.Add("Sub", [x, graph.Constant("mean", input.Mean, input.Mean.Length)]);
            x = graph.Add("Mul", [x, graph.Constant("scale", input.Scale, input.Scale.Length)]);
        }
        x = Write(graph, x, stepSize);
        if (OutputStatistics() is { } output)
        {
            x = graph.Add("Div", [x, graph.Constant("output_scale", output.Scale, output.Scale.Length)]);
            x = graph.Add("Add", [x, graph.Constant("output_mean", output.Mean, output.Mean.Length)]);
        }
        return x;
    }

    protected override string? FindDefect() =>
        Description.SparseFeatures && !KeepsZeros ? "its sparse features have means other than zero" : null;

    protected override InvalidDataException Misfit(string array, string what) => Description.Misfit(array, what);
}
