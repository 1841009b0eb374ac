using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Microsoft.ML.NeuralOde;

/// <summary>A trained neural ODE: features in, scores out. May serve several threads at once.</summary>
public sealed class NeuralOdeModel : IVectorScorer, ISupervisedModel<NeuralOdeNetwork>, IDisposable
{
    private readonly SharedNetwork<NeuralOdeNetwork> _network;
    private readonly NetworkDescription _description;
    private readonly RowNetwork? _rows;
    private readonly (float[] Mean, float[] Scale)? _statistics;
    private readonly OutputKind _kind;

    internal NeuralOdeModel(NeuralOdeNetwork network, OutputKind kind)
        : this(new SharedNetwork<NeuralOdeNetwork>(network, typeof(NeuralOdeModel)), kind)
    {
    }

    private NeuralOdeModel(SharedNetwork<NeuralOdeNetwork> shared, OutputKind kind)
    {
        _network = shared;
        NeuralOdeNetwork network = shared.Value;
        _description = network.Description;
        _kind = kind;
        network.eval();
        ParameterCount = network.parameters().Sum(parameter => parameter.numel());
        _rows = network.ToRowNetwork();
        _statistics = network.OutputStatistics();
    }

    /// <summary>The number of features.</summary>
    public int FeatureCount => _description.FeatureCount;

    /// <summary>
    /// The number of scores of a row: the classes, whose probabilities they are; two for a binary classification, the score (the logarithm
    /// of the odds) and the probability of true; the targets of a regression.
    /// </summary>
    public int OutputCount => _kind == OutputKind.Odds ? 2 : _description.OutputCount;

    /// <summary>The number of weights.</summary>
    public long ParameterCount { get; }

    /// <summary>The model's layers and solver.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public NeuralOdeModelSummary Summary
    {
        get
        {
            using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
            return loan.Network.Summarize();
        }
    }

    /// <summary>The publications that a paper on the model should cite, as entries for BibTeX.</summary>
    /// <example><code>File.WriteAllLines("references.bib", model.Model.Citations.Select(citation => citation.BibTeX));</code></example>
    public IReadOnlyList<Citation> Citations => _description.Citations;

    internal NeuralOdeNetwork Network => _network.Value;

    /// <summary>A copy of all weights, and of the statistics that features and labels are normalised with, by their names.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <example><code>float[] bias = [.. model.Model.Weights["head.bias"].Values];</code></example>
    public IReadOnlyDictionary<string, ModelWeights> Weights
    {
        get
        {
            using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
            return ModelWeights.Of(loan.Network.ToArrays());
        }
    }

    internal OutputKind Kind => _kind;

    /// <summary>
    /// A copy of the network as a module of TorchSharp, in evaluation mode: from features <c>[batch, features]</c> to the logits of the
    /// classes, to the logarithm of the odds of true, <c>[batch, 1]</c>, or to the targets in units of the label.
    /// </summary>
    /// <returns>The module, the caller's; training it does not change this model.</returns>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public nn.Module<Tensor, Tensor> CreateModule()
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
        NeuralOdeNetwork copy = Training.TorchSeed.Run(0, _description.Create);
        copy.CopyFrom(loan.Network);
        copy.eval();
        return copy;
    }

    /// <summary>The hidden states of rows along the depth of the model, from the encoded features to what its head reads.</summary>
    /// <param name="features">Features, row-major <c>[rows, features]</c>.</param>
    /// <param name="points">How many states there are of each row, at times spread evenly from 0 to the end time; at least 2.</param>
    /// <returns>The states, <c>[points, rows, …]</c>, as the equation is solved for predictions, and what they cost; the
    /// caller's.</returns>
    /// <exception cref="ArgumentException">The features are no whole rows, or there are fewer than two points.</exception>
    /// <exception cref="InvalidOperationException">The model solves no equation: residual layers, or nothing, stand in its
    /// place.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="OdeSolverException">The equation cannot be solved for these features.</exception>
    public OdeSolution HiddenStates(float[] features, int points = 21)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentOutOfRangeException.ThrowIfLessThan(points, 2);
        if (features.Length == 0 || features.Length % FeatureCount != 0)
            throw new ArgumentException(
                $"{features.Length} numbers are given; at least one row of {FeatureCount} features is needed, and whole ones.",
                nameof(features));
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(features, [features.Length / FeatureCount, FeatureCount], device: CPU);
        OdeSolution solution = loan.Network.Path(rows, linspace(0, _description.EndTime, points, ScalarType.Float64, CPU));
        solution.States.MoveToOuterDisposeScope();
        return solution;
    }

    /// <summary>The scores, row by row.</summary>
    /// <param name="features">Features, row-major <c>[rows, features]</c>.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="outputs">Receives the scores, row-major <c>[rows, outputs]</c>.</param>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="ArgumentException">An array is too short.</exception>
    public void Score(float[] features, int rows, float[] outputs)
    {
        ThrowIfDisposed();
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(outputs);
        if (features.Length < rows * FeatureCount)
            throw new ArgumentException($"{features.Length} features are given; {rows} rows need {rows * FeatureCount}.", nameof(features));
        if (outputs.Length < rows * OutputCount)
            throw new ArgumentException(
                $"There is room for {outputs.Length} scores; {rows} rows need {rows * OutputCount}.", nameof(outputs));
        if (_rows is not null)
        {
            _rows.Forward(features, rows, outputs);
            Finish(outputs, rows);
            return;
        }
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor input = empty([rows, FeatureCount], ScalarType.Float32, CPU);
        MemoryMarshal.AsBytes(features.AsSpan(0, rows * FeatureCount)).CopyTo(input.bytes);
        Finish(loan.Network.call(input), rows, outputs);
    }

    bool IVectorScorer.TakesSparse => _description.SparseFeatures;

    RowScoring IRowScorer.Open(DataViewRow row, ScoredSchema schema, int capacity)
    {
        var input = new ScorerInput(row, schema);
        return _description.SparseFeatures ? new SparseScoring(input, Score) : new DenseScoring(this, input, capacity);
    }

    private void Score(SparseRows rows, float[] outputs)
    {
        ThrowIfDisposed();
        if (_rows is not null)
        {
            _rows.Forward(rows, outputs);
            Finish(outputs, rows.Count);
            return;
        }
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using SparseBatch batch = rows.ToBatch(FeatureCount);
        Finish(loan.Network.Predict(batch), rows.Count, outputs);
    }

    /// <summary>Makes scores of the network's outputs.</summary>
    private void Finish(Tensor predicted, int rows, float[] outputs)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor result = PredictionScores.Of(_kind, predicted).contiguous();
        result.bytes.CopyTo(MemoryMarshal.AsBytes(outputs.AsSpan(0, rows * OutputCount)));
    }

    /// <summary>Makes scores of the network's outputs, in place.</summary>
    private void Finish(float[] outputs, int rows)
    {
        int width = _description.OutputCount;
        switch (_kind)
        {
            case OutputKind.Classes:
                for (int row = 0; row < rows; row++)
                    SoftMax(outputs.AsSpan(row * width, width));
                break;
            case OutputKind.Odds:
                // From the last row on: what is written lies behind what is still to be read.
                for (int row = rows - 1; row >= 0; row--)
                {
                    float odds = outputs[row];
                    outputs[2 * row] = odds;
                    outputs[2 * row + 1] = (float)(1 / (1 + Math.Exp(-odds)));
                }
                break;
            case OutputKind.Values when _statistics is { } statistics:
                for (int row = 0; row < rows; row++)
                {
                    Span<float> values = outputs.AsSpan(row * width, width);
                    TensorPrimitives.Divide(values, statistics.Scale, values);
                    TensorPrimitives.Add(values, statistics.Mean, values);
                }
                break;
        }
    }

    private static void SoftMax(Span<float> logits)
    {
        TensorPrimitives.Subtract(logits, TensorPrimitives.Max(logits), logits);
        TensorPrimitives.SoftMax(logits, logits);
    }

    /// <summary>Frees the weights; where other threads are scoring, once they are done with the rows at hand.</summary>
    public void Dispose() => _network.Dispose();

    /// <summary>A model of the same weights, which live until both are disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal NeuralOdeModel Share() => new(_network.Share(), _kind);

    /// <summary>The network, which lives at least until the loan is disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal SharedNetwork<NeuralOdeNetwork>.Loan Borrow() => _network.Borrow();

    OutputKind ISupervisedModel<NeuralOdeNetwork>.Kind => Kind;

    SharedNetwork<NeuralOdeNetwork>.Loan ISupervisedModel<NeuralOdeNetwork>.Borrow() => Borrow();

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal void ThrowIfDisposed() => _network.ThrowIfDisposed();
}

/// <summary>What the outputs of a network mean.</summary>
internal enum OutputKind
{
    /// <summary>Logits of classes.</summary>
    Classes,

    /// <summary>One number, the logarithm of the odds of true.</summary>
    Odds,

    /// <summary>Numbers in units of the label.</summary>
    Values,
}
