using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Scoring;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Microsoft.ML.NeuralOde;

/// <summary>A trained neural ODE classifier: features in, class probabilities out. May serve several threads at once.</summary>
public sealed class NeuralOdeClassificationModel : IRowScorer, IDisposable
{
    private readonly ClassificationNetwork _network;
    private readonly RowNetwork? _rows;
    private bool _disposed;

    internal NeuralOdeClassificationModel(ClassificationNetwork network)
    {
        _network = network;
        _network.eval();
        _rows = network.ToRowNetwork();
    }

    /// <summary>The number of features.</summary>
    public int FeatureCount => _network.Description.FeatureCount;

    /// <summary>The number of classes.</summary>
    public int ClassCount => _network.Description.ClassCount;

    /// <summary>The number of weights.</summary>
    public long ParameterCount => _network.parameters().Sum(parameter => parameter.numel());

    int IRowScorer.OutputCount => ClassCount;

    void IRowScorer.Score(float[] features, int rows, float[] outputs) => Score(features, rows, outputs);

    internal ClassificationNetwork Network => _disposed ? throw new ObjectDisposedException(nameof(NeuralOdeClassificationModel)) : _network;

    /// <summary>The probabilities of the classes, row by row.</summary>
    /// <param name="features">Features, row-major <c>[rows, features]</c>.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="probabilities">Receives the probabilities, row-major <c>[rows, classes]</c>.</param>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    /// <exception cref="ArgumentException">An array is too short.</exception>
    public void Score(float[] features, int rows, float[] probabilities)
    {
        ClassificationNetwork network = Network;
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(probabilities);
        if (features.Length < rows * FeatureCount)
            throw new ArgumentException($"{features.Length} features are given; {rows} rows need {rows * FeatureCount}.", nameof(features));
        if (probabilities.Length < rows * ClassCount)
            throw new ArgumentException($"There is room for {probabilities.Length} probabilities; {rows} rows need {rows * ClassCount}.", nameof(probabilities));
        if (_rows is not null)
        {
            _rows.Forward(features, rows, probabilities);
            for (int row = 0; row < rows; row++)
                SoftMax(probabilities.AsSpan(row * ClassCount, ClassCount));
            return;
        }
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor input = empty([rows, FeatureCount], ScalarType.Float32);
        MemoryMarshal.AsBytes(features.AsSpan(0, rows * FeatureCount)).CopyTo(input.bytes);
        Tensor result = network.call(input).softmax(1).contiguous();
        result.bytes.CopyTo(MemoryMarshal.AsBytes(probabilities.AsSpan(0, rows * ClassCount)));
    }

    private static void SoftMax(Span<float> logits)
    {
        TensorPrimitives.Subtract(logits, TensorPrimitives.Max(logits), logits);
        TensorPrimitives.SoftMax(logits, logits);
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _network.Dispose();
    }
}
