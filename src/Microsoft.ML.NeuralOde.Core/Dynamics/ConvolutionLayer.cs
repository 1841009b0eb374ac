using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>A 3×3 convolution's weights as the kernels want them: transformed by minimal filtering, one matrix a point.</summary>
internal sealed unsafe class ConvolutionLayer<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int Size = 3;
    private const int Taps = Size * Size;

    private readonly ConvolutionPlan<T> _plan;
    private readonly Parameter _weight;
    private readonly Parameter _bias;
    private readonly Parameter? _timeWeight;
    private readonly DenseKernels<T> _dense = DenseKernels<T>.Instance;
    private readonly ImageKernels<T> _images = ImageKernels<T>.Instance;
    private readonly Scratch<T> _original;
    private readonly Scratch<T> _forward;
    private readonly Scratch<T> _backward;
    private readonly Scratch<T> _biasImage;
    private readonly Scratch<T> _timeImage = new();
    private readonly Scratch<T> _shift = new();
    private readonly Scratch<T> _taps;
    private readonly Scratch<T> _points;
    private bool _isFilled;

    public ConvolutionLayer(Parameter weight, Parameter bias, Parameter? timeWeight, ConvolutionPlan<T> plan)
    {
        _plan = plan;
        _weight = weight;
        _bias = bias;
        _timeWeight = timeWeight;
        _original = new Scratch<T>(plan.Channels * plan.Channels * Taps);
        _forward = new Scratch<T>(plan.WeightCount);
        _backward = new Scratch<T>(plan.WeightCount);
        _biasImage = new Scratch<T>(plan.ImageCount);
        _taps = new Scratch<T>(Taps * plan.Padded);
        _points = new Scratch<T>(plan.WeightCount);
        if (timeWeight is null)
            return;
        _timeImage.Ensure(plan.ImageCount);
        _shift.Ensure(plan.ImageCount);
    }

    public bool HasTime => _timeWeight is not null;

    /// <summary>For each point a matrix, <c>[inputs, padded outputs]</c>.</summary>
    public T* Forward => _forward.Start;

    /// <summary>The same for the convolution that goes back: <c>[outputs, padded inputs]</c>.</summary>
    public T* Backward => _backward.Start;

    /// <summary>What one unit of time adds, an image.</summary>
    public T* TimeImage => _timeImage.Start;

    /// <summary>What is added at the time that was set, an image.</summary>
    public T* Shift => HasTime ? _shift.Start : _biasImage.Start;

    public void SetTime(double time)
    {
        if (HasTime)
            ShiftAt(T.CreateTruncating(time), _shift.Start);
    }

    /// <summary>What is added at a time.</summary>
    public void ShiftAt(T time, T* image)
    {
        Buffer.MemoryCopy(_biasImage.Start, image, _plan.ImageCount * sizeof(T), _plan.ImageCount * sizeof(T));
        _dense.AddScaled(image, TimeImage, time, _plan.ImageCount);
    }

    /// <summary>Takes the weights over.</summary>
    public void Refresh()
    {
        int positions = _plan.Height * _plan.Width;
        for (int p = 0; p < positions; p++)
            new ReadOnlySpan<T>(
                StateKernels.Address(_bias), _plan.Channels).CopyTo(new Span<T>(_biasImage.Start + p * _plan.Padded, _plan.Channels));
        if (_timeWeight is not null)
            FillTimeImage((T*)StateKernels.Address(_timeWeight));
        // Comparing is much cheaper than transforming the weights anew, and between training steps they do not change.
        var now = new ReadOnlySpan<byte>(StateKernels.Address(_weight), _plan.Channels * _plan.Channels * Taps * sizeof(T));
        var before = new Span<byte>(_original.Start, now.Length);
        if (_isFilled && now.SequenceEqual(before))
            return;
        _isFilled = true;
        now.CopyTo(before);
        Transform(isFlipped: false, _points.Start);
        nint matrix = _plan.Channels * _plan.Padded;
        for (int p = 0; p < _plan.Filters.Points; p++)
            _images.Transpose(_points.Start + p * matrix, _plan.Padded, _plan.Channels, _plan.Channels, Forward + p * matrix, _plan.Padded);
        Transform(isFlipped: true, Backward);
    }

    /// <summary>
    /// Adds α Gᵀ (Σ of the parts) G, given ∂L/∂U as <c>[point, outputs, padded inputs]</c>, to the gradient of the weights.
    /// </summary>
    public void AddWeightGradient(T* parts, int count, T alpha, T* gradient, int firstOutput, int endOutput, T* taps)
    {
        int channels = _plan.Channels;
        nint matrix = channels * _plan.Padded;
        for (int o = firstOutput; o < endOutput; o++)
        {
            _plan.Filters.TransformTapCotangent(
                parts + o * _plan.Padded, matrix, count, _plan.WeightCount, taps, _plan.Padded, _plan.Padded);
            T* to = gradient + (nint)o * channels * Taps;
            for (int i = 0; i < channels; i++)
                for (int k = 0; k < Taps; k++)
                    to[i * Taps + k] += alpha * taps[k * _plan.Padded + i];
        }
    }

    /// <summary>Adds α Σ over the positions of an image to the gradient of the bias.</summary>
    public void AddBiasGradient(T* image, T alpha, T* gradient)
    {
        _dense.SumRows(_taps.Start, image, _plan.Padded, _plan.Height * _plan.Width, null);
        for (int c = 0; c < _plan.Channels; c++)
            gradient[c] += alpha * _taps.Start[c];
    }

    /// <summary>Adds α times what an image gives for the weights of a channel of ones.</summary>
    public void AddTimeGradient(T* image, T alpha, T* gradient)
    {
        new Span<T>(_taps.Start, Taps * _plan.Padded).Clear();
        for (int y = 0; y < _plan.Height; y++)
            for (int x = 0; x < _plan.Width; x++)
                for (int k = 0; k < Taps; k++)
                    if (IsInside(y, x, k))
                        _dense.AddScaled(_taps.Start + k * _plan.Padded, image + (y * _plan.Width + x) * _plan.Padded, T.One, _plan.Padded);
        for (int c = 0; c < _plan.Channels; c++)
            for (int k = 0; k < Taps; k++)
                gradient[c * Taps + k] += alpha * _taps.Start[k * _plan.Padded + c];
    }

    /// <summary>A channel of ones gives at each position the sum of the taps that lie inside the image.</summary>
    private void FillTimeImage(T* weight)
    {
        new Span<T>(TimeImage, _plan.ImageCount).Clear();
        for (int y = 0; y < _plan.Height; y++)
            for (int x = 0; x < _plan.Width; x++)
                for (int k = 0; k < Taps; k++)
                    if (IsInside(y, x, k))
                        for (int c = 0; c < _plan.Channels; c++)
                            TimeImage[(y * _plan.Width + x) * _plan.Padded + c] += weight[c * Taps + k];
    }

    private bool IsInside(int y, int x, int tap)
    {
        int row = y + tap / Size - 1, column = x + tap % Size - 1;
        return row >= 0 && row < _plan.Height && column >= 0 && column < _plan.Width;
    }

    /// <summary>
    /// G g Gᵀ of all filters, <c>[point, outputs, padded inputs]</c>; flipped, the filters of the convolution that goes back.
    /// </summary>
    private void Transform(bool isFlipped, T* to)
    {
        int channels = _plan.Channels;
        nint matrix = channels * _plan.Padded;
        for (int o = 0; o < channels; o++)
        {
            T* from = _original.Start + (nint)o * channels * Taps;
            new Span<T>(_taps.Start, Taps * _plan.Padded).Clear();
            for (int i = 0; i < channels; i++)
                for (int k = 0; k < Taps; k++)
                    _taps.Start[k * _plan.Padded + i] = from[i * Taps + (isFlipped ? Taps - 1 - k : k)];
            _plan.Filters.TransformTaps(_taps.Start, _plan.Padded, _plan.Padded, to + o * _plan.Padded, matrix);
        }
    }
}
