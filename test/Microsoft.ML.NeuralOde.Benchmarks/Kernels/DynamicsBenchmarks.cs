using BenchmarkDotNet.Attributes;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Kernels;

/// <summary>One evaluation of dynamics, and its vector–Jacobian product, by their kernels and through torch.</summary>
[InProcess]
[MemoryDiagnoser]
public abstract class DynamicsBenchmarks : IDisposable
{
    private Module<Tensor, Tensor, Tensor> _dynamics = null!;
    private DynamicsEvaluator? _evaluator;
    private Tensor _time = null!;
    private Tensor _state = null!;
    private Tensor _derivative = null!;
    private Tensor _cotangent = null!;
    private Tensor[] _gradients = [];

    [GlobalSetup]
    public void Setup()
    {
        set_num_threads(1);
        _dynamics = CreateDynamics();
        _time = tensor(0.5f);
        _state = randn(StateShape);
        _derivative = empty_like(_state);
        _cotangent = randn_like(_state);
        _gradients = [.. _dynamics.parameters().Select(parameter => zeros_like(parameter.detach()))];
        _evaluator = ((IAnalyticDynamics)_dynamics).CreateEvaluator(_state);
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

    protected abstract long[] StateShape { get; }

    /// <summary>Dynamics that are <see cref="IAnalyticDynamics"/>.</summary>
    protected abstract Module<Tensor, Tensor, Tensor> CreateDynamics();
}
