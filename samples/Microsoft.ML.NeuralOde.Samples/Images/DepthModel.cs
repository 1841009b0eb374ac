using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>A trained network, taken apart: what is in front of its block, the block, and the head.</summary>
internal sealed class DepthModel : IDisposable
{
    private readonly nn.Module<Tensor, Tensor> _module;
    private readonly Dictionary<string, nn.Module> _parts;
    private readonly float _mean, _scale;

    public DepthModel(NeuralOdeModel model)
    {
        _module = model.CreateModule();
        _parts = _module.named_children().ToDictionary(part => part.name, part => part.module);
        IReadOnlyDictionary<string, ModelWeights> weights = model.Weights;
        _mean = weights["mean"].Values[0];
        _scale = weights["scale"].Values[0];
    }

    private IEnumerable<OdeBlock> Blocks => _parts.Values.OfType<OdeBlock>();

    public void Dispose() => _module.Dispose();

    /// <summary>The state in front of the block, of images <c>[rows, 784]</c>.</summary>
    public Tensor Encode(Tensor images)
    {
        using DisposeScope scope = NewDisposeScope();
        using Tensor mean = tensor(_mean), scale = tensor(_scale);
        Tensor x = ((images - mean) * scale).reshape(images.shape[0], 1, MnistDataset.ImageSize, MnistDataset.ImageSize);
        for (int i = 0; _parts.TryGetValue($"encoder{i}", out nn.Module? convolution); i++)
        {
            x = ((Conv2d)convolution).call(x);
            if (_parts.TryGetValue($"norm{i}", out nn.Module? norm))
                x = ((GroupNorm)norm).call(x).relu();
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>The probabilities of the classes that the head makes of a state, wherever it was taken.</summary>
    public Tensor Decode(Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor means = ((GroupNorm)_parts["head_norm"]).call(state).relu().mean([2, 3]);
        return ((Linear)_parts["head"]).call(means).softmax(1).MoveToOuterDisposeScope();
    }

    /// <summary>The states in front of, between and behind the residual layers.</summary>
    public IEnumerable<Tensor> Layers(Tensor state)
    {
        yield return state;
        foreach (OdeBlock block in Blocks)
        {
            // A layer is a step of Euler's method.
            using OdeSolution solution = Ode.Solve(
                block.Dynamics, state, linspace(0, block.EndTime, (long)block.EndTime + 1, ScalarType.Float64),
                new OdeSolverOptions { Method = OdeMethod.Euler, StepSize = 1 });
            Tensor states = solution.States.clone();
            for (long i = 1; i < states.shape[0]; i++)
                yield return states[i];
            state = states[-1];
        }
    }

    /// <summary>The states of the equation at some times from 0 to its end.</summary>
    public Tensor Path(Tensor state, int points)
    {
        OdeBlock block = Blocks.Single();
        using Tensor times = linspace(0, block.EndTime, points, ScalarType.Float64);
        using OdeSolution solution = Ode.Solve(block.Dynamics, state, times, new OdeSolverOptions { Method = OdeMethod.Dopri5 });
        return solution.States.clone();
    }

    /// <summary>What the block holds between the way forward and the way back, in MB; null where that is not known.</summary>
    /// <param name="state">The state in front of the block.</param>
    /// <param name="method">The method; null for the layers of a ResNet.</param>
    /// <param name="steps">Its steps.</param>
    /// <param name="gradient">How gradients come back.</param>
    public double? Memory(Tensor state, OdeMethod? method, int steps, GradientMethod gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        long? before = NativeMemory.InUse();
        var solutions = new List<OdeSolution>();
        Tensor x = state.detach().requires_grad_();
        foreach (OdeBlock block in Blocks)
        {
            OdeSolution solution = block.Solve(x, new OdeSolverOptions
            {
                Method = method ?? OdeMethod.Euler,
                StepSize = method is null ? 1 : block.EndTime / steps,
                Gradient = gradient,
            });
            solutions.Add(solution);
            x = solution.Final;
        }
        long? after = NativeMemory.InUse();
        x.sum().backward();
        GC.KeepAlive(solutions);
        return (after - before) / 1e6;
    }
}
