using BenchmarkDotNet.Attributes;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>One evaluation of convolutional dynamics, and its vector–Jacobian product, by our kernels and through torch.</summary>
[InProcess]
[MemoryDiagnoser]
public class ConvolutionBenchmarks : IDisposable
{
    private ConvolutionalDynamics _dynamics = null!;
    private DynamicsEvaluator? _evaluator;
    private Tensor _time = null!;
    private Tensor _state = null!;
    private Tensor _derivative = null!;
    private Tensor _cotangent = null!;
    private Tensor[] _gradients = [];

    /// <summary>Images of the state.</summary>
    [Params(1, 128)]
    public int Batch { get; set; }

    /// <summary>Channels, and height and width of the images.</summary>
    [Params("64 x 6 x 6", "16 x 28 x 28", "64 x 16 x 16")]
    public string Image { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        set_num_threads(1);
        long[] image = [.. Image.Split(" x ").Select(long.Parse)];
        _dynamics = new ConvolutionalDynamics(image[0]);
        _time = tensor(0.5f);
        _state = randn([Batch, .. image]);
        _derivative = empty_like(_state);
        _cotangent = randn_like(_state);
        _gradients = [.. _dynamics.parameters().Select(parameter => zeros_like(parameter.detach()))];
        _evaluator = _dynamics.CreateEvaluator(_state);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _evaluator?.Dispose();
        _dynamics.Dispose();
        foreach (Tensor tensor in new[] { _time, _state, _derivative, _cotangent }.Concat(_gradients))
            tensor.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public void KernelValue() => _evaluator!.Evaluate([0.5], _state, _derivative);

    [Benchmark(Baseline = true)]
    public void TorchValue()
    {
        using IDisposable noGrad = no_grad();
        _dynamics.call(_time, _state).Dispose();
    }

    [Benchmark]
    public void KernelProduct()
    {
        using DynamicsLinearization linearization = _evaluator!.Linearize([0.5], _state, _derivative);
        linearization.Pull(_cotangent, _derivative, default);
        linearization.AddParameterGradients(1, _gradients);
    }

    [Benchmark]
    public void TorchProduct()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor y = _state.detach().requires_grad_();
        autograd.grad([_dynamics.call(_time, y)], [y, .. _dynamics.parameters()], [_cotangent]);
    }
}
