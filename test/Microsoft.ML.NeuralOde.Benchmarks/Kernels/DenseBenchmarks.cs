using BenchmarkDotNet.Attributes;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>Dense dynamics with one hidden layer.</summary>
public class DenseBenchmarks : DynamicsBenchmarks
{
    /// <summary>Rows of the state.</summary>
    [Params(1, 128, 2048)]
    public int Batch { get; set; }

    /// <summary>Features of the state and units of the hidden layer.</summary>
    [Params(64, 256)]
    public int Width { get; set; }

    protected override long[] StateShape => [Batch, Width];

    protected override Module<Tensor, Tensor, Tensor> CreateDynamics() => new DenseDynamics(Width);
}
