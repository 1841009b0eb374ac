using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde;

/// <summary>A trained neural controlled differential equation: series in, scores out. May serve several threads at once.</summary>
public sealed class NeuralCdeModel : IRowScorer, ISupervisedModel<CdeNetwork>, IDisposable
{
    private readonly SharedNetwork<CdeNetwork> _network;
    private readonly CdeDescription _description;

    internal NeuralCdeModel(CdeNetwork network, OutputKind kind)
        : this(new SharedNetwork<CdeNetwork>(network, typeof(NeuralCdeModel)), kind)
    {
    }

    private NeuralCdeModel(SharedNetwork<CdeNetwork> shared, OutputKind kind)
    {
        _network = shared;
        CdeNetwork network = shared.Value;
        _description = network.Description;
        Kind = kind;
        network.eval();
        ParameterCount = network.parameters().Sum(parameter => parameter.numel());
    }

    /// <summary>The number of channels of the series.</summary>
    public int ChannelCount => _description.ChannelCount;

    /// <summary>
    /// The number of scores of a series: the classes, whose probabilities they are; two for a binary classification, the score (the
    /// logarithm of the odds) and the probability of true; the targets of a regression.
    /// </summary>
    public int OutputCount => Kind == OutputKind.Odds ? 2 : _description.OutputCount;

    /// <summary>The number of weights.</summary>
    public long ParameterCount { get; }

    /// <summary>The model's structure.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public NeuralOdeModelSummary Summary
    {
        get
        {
            using SharedNetwork<CdeNetwork>.Loan loan = Borrow();
            return loan.Network.Summarize();
        }
    }

    /// <summary>A copy of all weights, and of the statistics that values, times and labels are normalised with, by their names.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public IReadOnlyDictionary<string, ModelWeights> Weights
    {
        get
        {
            using SharedNetwork<CdeNetwork>.Loan loan = Borrow();
            return ModelWeights.Of(loan.Network.ToArrays());
        }
    }

    /// <summary>The publications that a paper on the model should cite, as entries for BibTeX.</summary>
    /// <example><code>File.WriteAllLines("references.bib", model.Model.Citations.Select(citation => citation.BibTeX));</code></example>
    public IReadOnlyList<Citation> Citations => _description.Citations;

    internal OutputKind Kind { get; }

    int IRowScorer.InputCount => 0;

    /// <summary>What the model says of a series as it unfolds: the scores after each of its observations.</summary>
    /// <remarks>
    /// Later observations play no part where the path is causal (<see cref="PathInterpolation.Rectilinear"/>,
    /// <see cref="PathInterpolation.HermiteCubic"/>, and <see cref="PathInterpolation.Linear"/> where no value is missing). The scores
    /// after the last observation are those of the whole series.
    /// </remarks>
    /// <param name="values">The values, <c>[observations, channels]</c>, NaN where one is missing.</param>
    /// <param name="times">The times, which increase; null for 0, 1, 2, ….</param>
    /// <returns>The scores, an array of <see cref="OutputCount"/> numbers an observation.</returns>
    /// <exception cref="ArgumentException">The series is empty, lengths differ, a value is infinite, or times do not increase.</exception>
    /// <exception cref="InvalidOperationException">The model takes several observations at once
    /// (<see cref="NeuralCdeTrainerOptions.Window"/>), and says nothing in between.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public float[][] ScoreAtObservations(float[] values, double[]? times = null)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Length == 0 || values.Length % ChannelCount != 0)
            throw new ArgumentException(
                $"The series has {values.Length} values; at least one observation of {ChannelCount} channels is needed, and whole ones.",
                nameof(values));
        int length = values.Length / ChannelCount;
        if (times is not null && times.Length != length)
            throw new ArgumentException($"There are {times.Length} times for {length} observations.", nameof(times));
        times ??= [.. Enumerable.Range(0, length).Select(place => (double)place)];
        using SharedNetwork<CdeNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        var series = new SeriesGroupRows(
            [0], tensor(values, [1, length, ChannelCount]), tensor([.. times.Select(time => time - times[0])], [1, length]),
            tensor((long[])[length]));
        float[] scores = new float[length * OutputCount];
        Finish(loan.Network.FromOutputs(loan.Network.AtObservations(series)).squeeze(0), scores);
        return [.. scores.Chunk(OutputCount)];
    }

    /// <summary>Frees the weights; where other threads are scoring, once they are done with the rows at hand.</summary>
    public void Dispose() => _network.Dispose();

    RowScoring IRowScorer.Open(DataViewRow row, ScoredSchema schema, int capacity) =>
        new SeriesScoring(new SeriesReader(row, schema.Inputs.Series!), new SeriesFormat(ChannelCount), OutputCount, Score);

    /// <summary>A model of the same weights, which live until both are disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal NeuralCdeModel Share() => new(_network.Share(), Kind);

    /// <summary>The network, which lives at least until the loan is disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal SharedNetwork<CdeNetwork>.Loan Borrow() => _network.Borrow();

    OutputKind ISupervisedModel<CdeNetwork>.Kind => Kind;

    SharedNetwork<CdeNetwork>.Loan ISupervisedModel<CdeNetwork>.Borrow() => Borrow();

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal void ThrowIfDisposed() => _network.ThrowIfDisposed();

    private void Score(List<float[]> rows, float[] outputs)
    {
        using SharedNetwork<CdeNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var series = new SeriesRows(ChannelCount, rows);
        Finish(loan.Network.FromOutputs(loan.Network.call(series)), outputs);
    }

    /// <summary>Makes scores of the network's outputs, <c>[rows, outputs]</c>.</summary>
    private void Finish(Tensor predicted, float[] outputs)
    {
        Tensor result = PredictionScores.Of(Kind, predicted).contiguous();
        result.bytes.CopyTo(MemoryMarshal.AsBytes(outputs.AsSpan()));
    }
}
