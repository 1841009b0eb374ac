using Google.Protobuf;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.OnnxExport;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML;

/// <summary>Export of neural ODE models to ONNX, for services without .NET or without libtorch.</summary>
public static class NeuralOdeOnnxExtensions
{
    /// <summary>Writes a model to an ONNX file, which is replaced only once it is complete.</summary>
    /// <inheritdoc cref="SaveAsOnnx(NeuralOdeTransformer, Stream, double?)" path="/*[not(self::param)]"/>
    /// <param name="transformer">The fitted model; of a pipeline, the step that this library made.</param>
    /// <param name="file">The file.</param>
    /// <param name="stepSize">The size of the solver's steps, in the unit of time; null for the model's own.</param>
    public static void SaveAsOnnx(this NeuralOdeTransformer transformer, string file, double? stepSize = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(file);
        AtomicFile.Write(file, Create(transformer, stepSize));
    }

    /// <summary>Writes a model as ONNX.</summary>
    /// <remarks>
    /// <para>
    /// The graph has one input, named as the feature column, of shape <c>[batch, features]</c>, and outputs named as the columns of the
    /// predictions: of a multiclass model Score <c>[batch, classes]</c> and PredictedLabel <c>[batch, 1]</c>, a number from 1 in the order
    /// of the classes, whose values stand in the metadata entry “classes”; of a binary model Score, Probability and PredictedLabel, each
    /// <c>[batch, 1]</c>; of a regression Score <c>[batch, targets]</c>.
    /// </para>
    /// <para>
    /// What can be exported: explicit Runge–Kutta methods in equal steps. They are written out up to 8 steps, and as a Loop beyond. A graph
    /// cannot choose steps by their error: a model with an adaptive method is exported with a given <paramref name="stepSize"/>, and its
    /// scores then differ from those of the model by the error of that many steps. Operator set 17.
    /// </para>
    /// </remarks>
    /// <param name="transformer">The fitted model; of a pipeline, the step that this library made.</param>
    /// <param name="stream">Receives the model; stays open.</param>
    /// <param name="stepSize">The size of the solver's steps, in the unit of time; null for the model's own.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step size is not a positive number.</exception>
    /// <exception cref="NotSupportedException">The model cannot be exported; the message names the option that stands in the
    /// way.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public static void SaveAsOnnx(this NeuralOdeTransformer transformer, Stream stream, double? stepSize = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        stream.Write(Create(transformer, stepSize));
    }

    /// <summary>
    /// Writes an ODE block as ONNX: from its initial state, “input”, to its final state, “output”, both <c>[batch, …]</c>.
    /// </summary>
    /// <remarks>
    /// What can be exported: <see cref="DenseDynamics"/> without conditions and <see cref="ConvolutionalDynamics"/>, with any activation
    /// and time dependence, under explicit Runge–Kutta methods in equal steps, as for transformers. Numbers are Float32. Operator set 17.
    /// </remarks>
    /// <param name="block">The block.</param>
    /// <param name="stateShape">The shape of a state without the batch: <c>[features]</c>, or <c>[channels, height, width]</c>.</param>
    /// <param name="stream">Receives the model; stays open.</param>
    /// <param name="stepSize">The size of the solver's steps, in the unit of time; null for the block's own.</param>
    /// <exception cref="ArgumentException">The shape does not fit, or the step size is not a positive number.</exception>
    /// <exception cref="NotSupportedException">The block cannot be exported; the message names what stands in the way.</exception>
    public static void SaveAsOnnx(this OdeBlock block, IReadOnlyList<long> stateShape, Stream stream, double? stepSize = null)
    {
        ArgumentNullException.ThrowIfNull(block);
        ArgumentNullException.ThrowIfNull(stateShape);
        ArgumentNullException.ThrowIfNull(stream);
        CheckStepSize(stepSize);
        using DisposeScope scope = NewDisposeScope();
        stream.Write(ModuleExport.Create(block, stateShape, stepSize).ToByteArray());
    }

    /// <summary>
    /// Writes a flow as ONNX: from data, “input” <c>[batch, features]</c>, to log p, “log_density” <c>[batch]</c>, and the points of the
    /// base distribution, “latent”.
    /// </summary>
    /// <remarks>
    /// What can be exported: flows over <see cref="DenseDynamics"/> without conditions, to the standard normal density, solved as in
    /// evaluation mode by explicit Runge–Kutta methods in equal steps. The trace is exact. Numbers are Float32, the standardisation
    /// Float64. Operator set 17.
    /// </remarks>
    /// <param name="flow">The flow.</param>
    /// <param name="stream">Receives the model; stays open.</param>
    /// <param name="stepSize">The size of the solver's steps, in the unit of time; null for the flow's own.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step size is not a positive number.</exception>
    /// <exception cref="NotSupportedException">The flow cannot be exported; the message names what stands in the way.</exception>
    public static void SaveAsOnnx(this ContinuousFlow flow, Stream stream, double? stepSize = null)
    {
        ArgumentNullException.ThrowIfNull(flow);
        ArgumentNullException.ThrowIfNull(stream);
        CheckStepSize(stepSize);
        using DisposeScope scope = NewDisposeScope();
        stream.Write(ModuleExport.Create(flow, stepSize).ToByteArray());
    }

    private static byte[] Create(NeuralOdeTransformer transformer, double? stepSize)
    {
        ArgumentNullException.ThrowIfNull(transformer);
        CheckStepSize(stepSize);
        // Keeps tensors in the middle of a chain of calls from being finalised while native code reads them.
        using DisposeScope scope = NewDisposeScope();
        return ModelExport.Create(transformer, stepSize).ToByteArray();
    }

    private static void CheckStepSize(double? stepSize)
    {
        if (stepSize is { } size && !(size > 0 && double.IsFinite(size)))
            throw new ArgumentOutOfRangeException(nameof(stepSize), stepSize, "The step size must be a positive number or null.");
    }
}
