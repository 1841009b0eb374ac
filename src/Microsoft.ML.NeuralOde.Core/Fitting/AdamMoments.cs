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

    /// <summary>One step of each of some parameters.</summary>
    /// <param name="gradients">What is remembered of them, each with its gradient.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="weightDecay">What weights shrink by beside, times the learning rate (I. Loshchilov, F. Hutter, 2019).</param>
    public static void Follow(IReadOnlyList<(AdamMoments Moments, Tensor Gradient)> gradients, double learningRate, double weightDecay)
    {
        using IDisposable noGrad = no_grad();
        var others = new List<(AdamMoments Moments, Tensor Gradient, AdamStep Step)>();
        foreach ((AdamMoments moments, Tensor gradient) in gradients)
        {
            AdamStep step = moments.NextStep(learningRate, weightDecay);
            if (!moments.TryFollow(gradient, step))
                others.Add((moments, gradient, step));
        }
        // Parameters that have made equally many steps make the next one together.
        foreach (IGrouping<AdamStep, (AdamMoments Moments, Tensor Gradient, AdamStep Step)> alike in others.GroupBy(one => one.Step))
            TensorLists.Adam(
                [.. alike.Select(one => one.Moments._parameter)], [.. alike.Select(one => one.Gradient)],
                [.. alike.Select(one => one.Moments.Mean)], [.. alike.Select(one => one.Moments.Square)],
                alike.Key.Decay, alike.Key.KeptMean, alike.Key.KeptSquare, alike.Key.Correction, alike.Key.Epsilon, alike.Key.Rate);
    }

    public void Dispose()
    {
        Mean.Dispose();
        Square.Dispose();
    }

    private AdamStep NextStep(double learningRate, double weightDecay)
    {
        Steps++;
        return new AdamStep(
            _beta1, _beta2, 1 / Math.Sqrt(1 - Math.Pow(_beta2, Steps)), _epsilon, learningRate / (1 - Math.Pow(_beta1, Steps)),
            1 - learningRate * weightDecay);
    }

    /// <summary>A step by the kernel; false where that cannot read the memory.</summary>
    private bool TryFollow(Tensor gradient, AdamStep step)
    {
        if (!AllowsKernel || !IsPlain(gradient) || !IsPlain(_parameter) || !IsPlain(Mean) || !IsPlain(Square))
            return false;
        if (_parameter.dtype == ScalarType.Float32)
            Follow<float>(gradient, step);
        else
            Follow<double>(gradient, step);
        return true;
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

    private bool IsPlain(Tensor tensor) =>
        StateKernels.Supports(tensor) && tensor.dtype == _parameter.dtype && tensor.is_contiguous();
}
