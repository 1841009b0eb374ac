using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Inference;

/// <summary>
/// A convolution of one image at a time, as products of its weights with the pixels around each place. Images are channels-last; the sums
/// of a place are formed in the same order whatever else is computed.
/// </summary>
internal sealed unsafe class PackedConvolution
{
    private readonly PackedLinear _weights;
    private readonly int _kernel, _stride, _inputRow, _inputChannels;

    /// <param name="weight">Shape <c>[outputs, inputs, kernel, kernel]</c>.</param>
    /// <param name="bias">Shape <c>[outputs]</c>.</param>
    /// <param name="inputChannels">From one place of the input to the next; the inputs, or more.</param>
    /// <param name="height">Rows of the input with its border.</param>
    /// <param name="width">Columns of the input with its border.</param>
    /// <param name="stride">From one place that is computed to the next.</param>
    public PackedConvolution(Tensor weight, Tensor bias, int inputChannels, int height, int width, int stride)
    {
        using DisposeScope scope = NewDisposeScope();
        _kernel = (int)weight.shape[2];
        _stride = stride;
        _inputChannels = inputChannels;
        _inputRow = width * inputChannels;
        Height = (height - _kernel) / stride + 1;
        Width = (width - _kernel) / stride + 1;
        // By place first, then by channel, as they lie in the image.
        int outputs = (int)weight.shape[0], inputs = (int)weight.shape[1], places = _kernel * _kernel;
        float[] from = weight.detach().cpu().contiguous().data<float>().ToArray();
        var values = new float[outputs * places * inputChannels];
        for (int o = 0; o < outputs; o++)
            for (int i = 0; i < inputs; i++)
                for (int p = 0; p < places; p++)
                    values[(o * places + p) * inputChannels + i] = from[(o * inputs + i) * places + p];
        _weights = new PackedLinear(values, bias.detach().cpu().contiguous().data<float>().ToArray());
    }

    /// <summary>Rows of the result.</summary>
    public int Height { get; }

    /// <summary>Columns of the result.</summary>
    public int Width { get; }

    /// <summary>From one place of the result to the next: its channels and zeros.</summary>
    public int Channels => _weights.Width;

    /// <summary>Numbers of the result.</summary>
    public int Count => Height * Width * Channels;

    /// <summary>Numbers that <see cref="Apply"/> needs beside.</summary>
    public int ScratchLength => Width * _weights.Inputs;

    /// <summary>Convolves an image.</summary>
    /// <param name="image">The image with its border, without gaps.</param>
    /// <param name="to">Receives the result, without gaps.</param>
    /// <param name="scratch">Room for <see cref="ScratchLength"/> numbers.</param>
    public void Apply(float* image, float* to, float* scratch)
    {
        int run = _kernel * _inputChannels;
        for (int y = 0; y < Height; y++)
        {
            float* patch = scratch;
            for (int x = 0; x < Width; x++)
            {
                float* corner = image + (nint)y * _stride * _inputRow + x * _stride * _inputChannels;
                for (int row = 0; row < _kernel; row++, patch += run)
                    new ReadOnlySpan<float>(corner + (nint)row * _inputRow, run).CopyTo(new Span<float>(patch, run));
            }
            _weights.Apply(scratch, _weights.Inputs, Width, to + (nint)y * Width * Channels, Channels);
        }
    }
}

/// <summary>Group normalisation of one channels-last image with ReLU behind it.</summary>
internal sealed unsafe class PackedNormalization
{
    private readonly ImageKernels<float> _images = ImageKernels<float>.Instance;
    private readonly float[] _weight;
    private readonly float[] _bias;
    private readonly int _height, _width, _count, _groupSize;
    private readonly float _epsilon;

    /// <param name="weight">Shape <c>[channels]</c>.</param>
    /// <param name="bias">The same.</param>
    /// <param name="groups">Groups of channels.</param>
    /// <param name="epsilon">What is added to variances.</param>
    /// <param name="channels">From one place of an image to the next: the channels and zeros.</param>
    /// <param name="height">Rows of an image.</param>
    /// <param name="width">Columns of an image.</param>
    public PackedNormalization(Tensor weight, Tensor bias, long groups, double epsilon, int channels, int height, int width)
    {
        _count = (int)weight.shape[0];
        _groupSize = (int)(_count / groups);
        _epsilon = (float)epsilon;
        Channels = channels;
        _height = height;
        _width = width;
        _weight = Padded(weight);
        _bias = Padded(bias);

        float[] Padded(Tensor values)
        {
            using DisposeScope scope = NewDisposeScope();
            float[] padded = GC.AllocateArray<float>(channels, pinned: true);
            values.detach().cpu().contiguous().data<float>().ToArray().CopyTo(padded, 0);
            return padded;
        }
    }

    public int Channels { get; }

    /// <summary>Numbers that the methods need beside.</summary>
    public int ScratchLength => 3 * Channels;

    /// <summary>Normalises an image without gaps.</summary>
    /// <param name="image">The image.</param>
    /// <param name="to">Where its first place goes; may be the image.</param>
    /// <param name="row">From one row of the result to the next.</param>
    /// <param name="scratch">Room for <see cref="ScratchLength"/> numbers.</param>
    public void Apply(float* image, float* to, nint row, float* scratch)
    {
        new Span<float>(scratch, ScratchLength).Clear();
        float* sums = scratch, mean = scratch + Channels, inverse = mean + Channels;
        var plane = new Plane<float>(image, (nint)_width * Channels);
        float share = (float)(1.0 / ((double)_groupSize * _height * _width));
        _images.Sum(plane, null, _height, _width, Channels, sums);
        _images.SumGroups(sums, _count, _groupSize, share, mean);
        _images.SumSquares(plane, mean, _height, _width, Channels, sums);
        _images.SumGroups(sums, _count, _groupSize, share, inverse);
        _images.InverseRoot(inverse, Channels, _epsilon);
        fixed (float* weight = _weight, bias = _bias)
            _images.Normalize(
                Activation.Relu, plane, mean, inverse, weight, bias, _height, _width, Channels, null, new Plane<float>(to, row));
    }

    /// <summary>The mean of each channel of an image without gaps.</summary>
    public void Mean(float* image, float* to)
    {
        _images.Sum(new Plane<float>(image, (nint)_width * Channels), null, _height, _width, Channels, to);
        float share = (float)(1.0 / (_height * _width));
        for (int c = 0; c < Channels; c++)
            to[c] *= share;
    }
}
