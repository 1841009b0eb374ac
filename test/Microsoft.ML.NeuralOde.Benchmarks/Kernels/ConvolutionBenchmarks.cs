using BenchmarkDotNet.Attributes;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>Convolutional dynamics.</summary>
public class ConvolutionBenchmarks : DynamicsBenchmarks
{
    /// <summary>Images of the state.</summary>
    [Params(1, 128)]
    public int Batch { get; set; }

    /// <summary>Channels, and height and width of the images.</summary>
    [Params("64 x 6 x 6", "16 x 28 x 28", "64 x 16 x 16")]
    public string Image { get; set; } = "";

    protected override long[] StateShape => [Batch, .. Sizes];

    private IEnumerable<long> Sizes => Image.Split(" x ").Select(long.Parse);

    protected override Module<Tensor, Tensor, Tensor> CreateDynamics() => new ConvolutionalDynamics(Sizes.First());
}
