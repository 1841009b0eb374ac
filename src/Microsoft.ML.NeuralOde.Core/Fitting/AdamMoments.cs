using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>
/// What Adam (D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015) remembers of a parameter's gradients, and its steps:
/// in one pass where kernels may read the memory, by torch's operations elsewhere.
/// </summary>
internal sealed unsafe class AdamMoments : IDisposable
{
    private readonly Parameter _parameter;
    private readonly double _beta1;
    private readonly double _beta2;
    private readonly double _epsilon;

    public AdamMoments(Parameter parameter, double beta1, double beta2, double epsilon)
    {
        _parameter = parameter;
        _beta1 = beta1;
        _beta2 = beta2;
        _epsilon = epsilon;
        using IDisposable noGrad = no_grad();
        Mean = zeros_like(parameter).DetachFromDisposeScope();
        Square = zeros_like(parameter).DetachFromDisposeScope();
    }

    /// <summary>The mean gradient, older ones weighted by powers of β₁.</summary>
    public Tensor Mean { get; }

    /// <summary>The mean of its squares.</summary>
    public Tensor Square { get; }

    /// <summary>The steps that were made.</summary>
    public long Steps { get; set; }

    /// <summary>Whether the kernel may be used where it can; turned off by tests that compare.</summary>
    public bool AllowsKernel { get; init; } = true;

    /// <summary>One step.</summary>
    /// <param name="gradient">The gradient.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="weightDecay">What the weight shrinks by beside, times the learning rate (I. Loshchilov, F. Hutter, 2019).</param>
    public void Follow(Tensor gradient, double learningRate, double weightDecay)
    {
        using IDisposable noGrad = no_grad();
        Steps++;
        var step = new AdamStep(
            _beta1, _beta2, 1 / Math.Sqrt(1 - Math.Pow(_beta2, Steps)), _epsilon, learningRate / (1 - Math.Pow(_beta1, Steps)),
            1 - learningRate * weightDecay);
        if (!AllowsKernel || !IsPlain(gradient) || !IsPlain(_parameter) || !IsPlain(Mean) || !IsPlain(Square))
            FollowByTensors(gradient, step);
        else if (_parameter.dtype == ScalarType.Float32)
            Follow<float>(gradient, step);
        else
            Follow<double>(gradient, step);
    }

    public void Dispose()
    {
        Mean.Dispose();
        Square.Dispose();
    }

    private void Follow<T>(Tensor gradient, AdamStep step)
        where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        AdamKernel<T>.Follow(
            (T*)StateKernels.Address(_parameter), (T*)StateKernels.Address(gradient), (T*)StateKernels.Address(Mean),
            (T*)StateKernels.Address(Square), (nint)_parameter.numel(), step);
        GC.KeepAlive(gradient);
        GC.KeepAlive(this);
    }

    private void FollowByTensors(Tensor gradient, AdamStep step)
    {
        using DisposeScope scope = NewDisposeScope();
        using Scalar keptMean = step.KeptMean, newMean = 1 - step.KeptMean, keptSquare = step.KeptSquare, newSquare = 1 - step.KeptSquare,
            down = -step.Rate;
        _parameter.Multiply(step.Decay);
        Mean.mul_(keptMean).add_(gradient, newMean);
        Square.mul_(keptSquare).addcmul_(gradient, gradient, newSquare);
        Tensor size = Square.sqrt().Times(step.Correction).Plus(step.Epsilon);
        _parameter.addcdiv_(Mean, size, down);
    }

    private bool IsPlain(Tensor tensor) =>
        StateKernels.Supports(tensor) && tensor.dtype == _parameter.dtype && tensor.is_contiguous();
}
