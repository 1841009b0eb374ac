using System.Runtime.InteropServices;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The right-hand side of a trainer's equation, dy/dt = f(t, y), as a module of one's own instead of the layers that the options describe
/// (see <see cref="NeuralOdePredictorOptions.Dynamics"/>).
/// </summary>
/// <remarks>
/// A model file holds the module's name, its parameters and its buffers, but no code: whoever loads the model registers the same module
/// under the same name before, by <see cref="NeuralOdeCatalog.RegisterDynamics"/>.
/// </remarks>
/// <example>
/// <code>
/// NeuralOdeDynamics oscillator = NeuralOdeDynamics.FromModule("oscillator", size => new Oscillator(size));
/// var trainer = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options { Dynamics = oscillator });
/// // In the program that loads the model:
/// mlContext.ComponentCatalog.RegisterDynamics(oscillator);
/// ITransformer model = mlContext.Model.Load("model.zip", out _);
/// </code>
/// </example>
public sealed class NeuralOdeDynamics
{
    private readonly Func<long, Module<Tensor, Tensor, Tensor>> _create;

    private NeuralOdeDynamics(string name, Func<long, Module<Tensor, Tensor, Tensor>> create)
    {
        Name = name;
        _create = create;
    }

    /// <summary>The name in model files.</summary>
    public string Name { get; }

    /// <summary>A right-hand side that is a module of TorchSharp.</summary>
    /// <param name="name">Its name in model files.</param>
    /// <param name="create">
    /// Makes the module, given the size of the state, which is the last of <see cref="NeuralOdePredictorOptions.EncoderLayers"/>: a new one
    /// at each call, with all weights of type Float32 among its parameters and buffers. Its forward(t, y) takes y of shape <c>[batch,
    /// state]</c> and t, a scalar or of shape <c>[batch, 1]</c>, and returns dy/dt in the shape of y, each row of its own row alone.
    /// </param>
    /// <returns>The right-hand side, for options and for <see cref="NeuralOdeCatalog.RegisterDynamics"/>.</returns>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    public static NeuralOdeDynamics FromModule(string name, Func<long, Module<Tensor, Tensor, Tensor>> create)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(create);
        return new NeuralOdeDynamics(name, create);
    }

    /// <summary>The name.</summary>
    /// <returns><see cref="Name"/>.</returns>
    public override string ToString() => Name;

    /// <summary>A new module.</summary>
    /// <exception cref="InvalidOperationException">The user's function fails, or returns null or a module that is disposed of.</exception>
    internal Module<Tensor, Tensor, Tensor> Create(long stateSize)
    {
        Module<Tensor, Tensor, Tensor>? module;
        try
        {
            module = _create(stateSize);
        }
        catch (ExternalException exception)
        {
            throw new InvalidOperationException(
                $"The dynamics '{Name}' could not be made for a state of {stateSize} numbers: {exception.Message.Split('\n')[0]}",
                exception);
        }
        return module ?? throw new InvalidOperationException(
            $"The function that makes the dynamics '{Name}' returned null; it must return a new module.");
    }
}
