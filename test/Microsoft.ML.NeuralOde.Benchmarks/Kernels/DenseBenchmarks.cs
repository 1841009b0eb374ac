using BenchmarkDotNet.Attributes;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>One evaluation of dense dynamics, and its vector–Jacobian product, fused and through torch.</summary>
[InProcess]
[MemoryDiagnoser]
public class DenseBenchmarks : IDisposable
{
    private DenseDynamics _dynamics = null!;
    private DynamicsEvaluator? _evaluator;
    private Tensor _time = null!;
    private Tensor _state = null!;
    private Tensor _derivative = null!;
    private Tensor _cotangent = null!;
    private Tensor[] _gradients = [];

    /// <summary>Rows of the state.</summary>
    [Params(1, 128, 2048)]
    public int Batch { get; set; }

    /// <summary>Features of the state and units of the hidden layer.</summary>
    [Params(64, 256)]
    public int Width { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        set_num_threads(1);
        _dynamics = new DenseDynamics(Width);
        _time = tensor(0.5f);
        _state = randn(Batch, Width);
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
    public void FusedValue() => _evaluator!.Evaluate([0.5], _state, _derivative);

    [Benchmark(Baseline = true)]
    public void TorchValue()
    {
        using IDisposable noGrad = no_grad();
        _dynamics.call(_time, _state).Dispose();
    }

    [Benchmark]
    public void FusedProduct()
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
