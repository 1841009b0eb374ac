using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A trained continuous normalizing flow, or several side by side: a density that can be evaluated and sampled. May serve several threads
/// at once.
/// </summary>
public sealed class ContinuousFlowModel : IDisposable
{
    private readonly SharedNetwork<FlowNetwork> _network;

    internal ContinuousFlowModel(FlowNetwork network)
        : this(new SharedNetwork<FlowNetwork>(network, typeof(ContinuousFlowModel)))
    {
    }

    private ContinuousFlowModel(SharedNetwork<FlowNetwork> shared)
    {
        _network = shared;
        FlowNetwork network = shared.Value;
        Description = network.Description;
        network.eval();
        ParameterCount = network.parameters().Sum(parameter => parameter.numel());
    }

    /// <summary>The number of features.</summary>
    public int FeatureCount => Description.FeatureCount;

    /// <summary>The numbers of the condition; 0 where the density has none.</summary>
    public int ConditionCount => Description.ConditionCount;

    /// <summary>The number of weights.</summary>
    public long ParameterCount { get; }

    /// <summary>The publications that a paper on the model should cite, as entries for BibTeX.</summary>
    /// <example><code>File.WriteAllLines("references.bib", model.Model.Citations.Select(citation => citation.BibTeX));</code></example>
    public IReadOnlyList<Citation> Citations =>
        [Publications.NeuralOde, Publications.Ffjord, .. OdeMethod.Parse(Description.Solver).Citations];

    internal FlowNetwork Network => _network.Value;

    /// <summary>A copy of all weights, and of the statistics that features and conditions are normalised with, by their names.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public IReadOnlyDictionary<string, ModelWeights> Weights
    {
        get
        {
            using SharedNetwork<FlowNetwork>.Loan loan = Borrow();
            return ModelWeights.Of(loan.Network.ToArrays());
        }
    }

    internal FlowDescription Description { get; }

    /// <summary>
    /// A copy of the flows as a module of TorchSharp, in evaluation mode: from features and conditions side by side, <c>[batch, features +
    /// conditions]</c>, to log p in nats, <c>[batch]</c>.
    /// </summary>
    /// <returns>The module, the caller's; training it does not change this model.</returns>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public nn.Module<Tensor, Tensor> CreateModule()
    {
        using SharedNetwork<FlowNetwork>.Loan loan = Borrow();
        FlowNetwork copy = Training.TorchSeed.Run(0, () => new FlowNetwork(Description));
        copy.FromArrays(loan.Network.ToArrays());
        copy.eval();
        return copy;
    }

    /// <summary>log p(x), or log p(x | c), in nats.</summary>
    /// <param name="features">x, row-major <c>[rows, features]</c>, in the units of the training data.</param>
    /// <param name="conditions">c, row-major <c>[rows, conditions]</c>; empty where the density has none.</param>
    /// <returns>
    /// A number a row: NaN for rows with values that are NaN, where <see cref="ContinuousFlowTrainerOptions.Imputation"/> replaces none, or
    /// infinite.
    /// </returns>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public float[] LogDensity(ReadOnlySpan<float> features, ReadOnlySpan<float> conditions = default)
    {
        ThrowIfDisposed();
        int rows = features.Length / FeatureCount;
        if (rows * FeatureCount != features.Length)
            throw new ArgumentException(
                $"{features.Length} numbers are given; rows of {FeatureCount} features need a multiple of that.", nameof(features));
        if (conditions.Length != rows * ConditionCount)
            throw new ArgumentException(
                $"{conditions.Length} numbers are given; {rows} rows need {rows * ConditionCount}.", nameof(conditions));
        int width = FeatureCount + ConditionCount;
        float[] inputs = new float[rows * width];
        for (int row = 0; row < rows; row++)
        {
            features.Slice(row * FeatureCount, FeatureCount).CopyTo(inputs.AsSpan(row * width));
            conditions.Slice(row * ConditionCount, ConditionCount).CopyTo(inputs.AsSpan(row * width + FeatureCount));
        }
        float[] outputs = new float[rows];
        Evaluate(inputs, rows, 1, outputs, static (network, x, c) => network.LogDensity(x, c).unsqueeze(1));
        return outputs;
    }

    /// <summary>Draws independent rows.</summary>
    /// <param name="count">How many.</param>
    /// <param name="condition">The condition of all of them; null where the density has none.</param>
    /// <param name="seed">The same seed draws the same rows; null for others each time.</param>
    /// <returns>Rows in the units of the training data.</returns>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="ArgumentException">The count is not positive, or the condition does not fit.</exception>
    public float[][] Sample(int count, float[]? condition = null, int? seed = null)
    {
        ThrowIfDisposed();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if ((condition?.Length ?? 0) != ConditionCount)
            throw new ArgumentException(
                $"The condition has {condition?.Length ?? 0} numbers; it must have {ConditionCount}.", nameof(condition));
        using SharedNetwork<FlowNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using Generator generator = new((ulong)(uint)(seed ?? Random.Shared.Next()), CPU);
        float[] values = loan.Network
            .Sample(count, condition is null ? null : tensor(condition, [1, condition.Length], device: CPU), generator)
            .data<float>().ToArray();
        return [.. values.Chunk(FeatureCount)];
    }

    /// <summary>Frees the weights; where other threads are scoring, once they are done with the rows at hand.</summary>
    public void Dispose() => _network.Dispose();

    /// <summary>A model of the same weights, which live until both are disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal ContinuousFlowModel Share() => new(_network.Share());

    /// <summary>The network, which lives at least until the loan is disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal SharedNetwork<FlowNetwork>.Loan Borrow() => _network.Borrow();

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal void ThrowIfDisposed() => _network.ThrowIfDisposed();

    /// <summary>Quantiles of the only feature of a density with a condition.</summary>
    /// <remarks>A flow in one dimension is increasing: the quantile of p is where it carries Φ⁻¹(p). Of flows side by side the mean.</remarks>
    /// <param name="conditions">c, row-major <c>[rows, conditions]</c>.</param>
    /// <param name="probabilities">p, each between 0 and 1.</param>
    /// <returns>Row-major <c>[rows, probabilities]</c>; NaN for rows with values that are NaN or infinite.</returns>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="ArgumentException">The length does not fit, or a probability makes no sense.</exception>
    /// <exception cref="InvalidOperationException">The density has no condition, or more than one feature.</exception>
    public float[] Quantiles(ReadOnlySpan<float> conditions, params double[] probabilities)
    {
        ThrowIfDisposed();
        CheckQuantiles(probabilities);
        int rows = conditions.Length / ConditionCount;
        if (rows * ConditionCount != conditions.Length)
            throw new ArgumentException(
                $"{conditions.Length} numbers are given; rows of {ConditionCount} numbers need a multiple of that.", nameof(conditions));
        float[] outputs = new float[rows * probabilities.Length];
        EvaluateConditions(conditions.ToArray(), rows, probabilities.Length, outputs, (network, c) => network.Quantiles(c, probabilities));
        return outputs;
    }

    /// <exception cref="ArgumentException">A probability makes no sense.</exception>
    /// <exception cref="InvalidOperationException">The density has no condition, or more than one feature.</exception>
    internal void CheckQuantiles(double[] probabilities)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        if (probabilities.Length == 0)
            throw new ArgumentException("There is no probability; at least one is needed, 0.5 for the median.", nameof(probabilities));
        foreach (double probability in probabilities)
            if (probability is not (> 0 and < 1))
                throw new ArgumentOutOfRangeException(nameof(probabilities), probability, "A probability must lie between 0 and 1.");
        if (ConditionCount == 0 || FeatureCount != 1)
            throw new InvalidOperationException(
                $"Quantiles need the density of one feature under a condition; this one has {FeatureCount} features and {ConditionCount} "
                + "numbers of a condition. Make the feature column of the number that is to be predicted, and set ConditionColumnName.");
    }

    /// <summary>Computes numbers of rows that are conditions alone.</summary>
    internal void EvaluateConditions(
        float[] inputs, int rows, int outputCount, float[] outputs, Func<FlowNetwork, Tensor, Tensor> function) =>
        Evaluate(inputs, rows, 0, ConditionCount, outputCount, outputs, function);

    /// <summary>Computes numbers of rows, whose features and conditions stand side by side.</summary>
    internal void Evaluate(
        float[] inputs, int rows, int outputCount, float[] outputs, Func<FlowNetwork, Tensor, Tensor?, Tensor> function) =>
        Evaluate(inputs, rows, FeatureCount, FeatureCount + ConditionCount, outputCount, outputs, (network, all) => function(
            network, all.narrow(1, 0, FeatureCount), ConditionCount > 0 ? all.narrow(1, FeatureCount, ConditionCount) : null));

    private void Evaluate(
        float[] inputs, int rows, int features, int width, int outputCount, float[] outputs, Func<FlowNetwork, Tensor, Tensor> function)
    {
        if (rows == 0)
            return;
        using SharedNetwork<FlowNetwork>.Loan loan = Borrow();
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor all = empty([rows, width], ScalarType.Float32, CPU);
        Span<float> values = MemoryMarshal.Cast<byte, float>(all.bytes);
        inputs.AsSpan(0, rows * width).CopyTo(values);
        // A missing value must not stop the rows beside it.
        List<int> incomplete = [];
        for (int row = 0; row < rows; row++)
        {
            Span<float> one = values.Slice(row * width, width);
            if (Description.Filling is { } filling && features > 0)
                FeatureFilling.Fill(one[..features], filling);
            if (!IsFinite(one))
            {
                incomplete.Add(row);
                one.Clear();
            }
        }
        Tensor result = function(loan.Network, all).contiguous();
        result.bytes.CopyTo(MemoryMarshal.AsBytes(outputs.AsSpan(0, rows * outputCount)));
        foreach (int row in incomplete)
            outputs.AsSpan(row * outputCount, outputCount).Fill(float.NaN);
    }

    private static bool IsFinite(ReadOnlySpan<float> row)
    {
        foreach (float value in row)
            if (!float.IsFinite(value))
                return false;
        return true;
    }
}
