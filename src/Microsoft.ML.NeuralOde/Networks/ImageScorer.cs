using System.Buffers;
using Microsoft.ML.NeuralOde.Inference;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// The convolutions in front of the block of an <see cref="ImageNetwork"/> and its head, image by image and without tensors: torch's
/// results change in the last bits with the number of rows that come together, these do not. Has no state that a call changes.
/// </summary>
internal sealed unsafe class ImageScorer
{
    private const double Epsilon = ImageNetwork.Epsilon;

    private readonly ImageShape _image;
    private readonly float[]? _mean;
    private readonly float[]? _scale;
    private readonly PackedConvolution[] _convolutions;
    private readonly PackedNormalization[] _norms;
    private readonly PackedLinear? _lift;
    private readonly PackedNormalization _headNorm;
    private readonly PackedLinear _head;
    private readonly int _encoded, _channels, _largest, _scratch;

    /// <param name="image">The shape of an image.</param>
    /// <param name="statistics">What images are normalised with; null for nothing.</param>
    /// <param name="convolutions">The convolutions, of which all but the first have a border of one place and a stride of two.</param>
    /// <param name="norms">The normalisations between them.</param>
    /// <param name="augmentation">The channels of the state behind those of the last convolution; null for none.</param>
    /// <param name="headNorm">That of the head.</param>
    /// <param name="head">The last layer.</param>
    public ImageScorer(
        ImageShape image, (float[] Mean, float[] Scale)? statistics, Conv2d[] convolutions, GroupNorm[] norms,
        StateAugmentation? augmentation, GroupNorm headNorm, Linear head)
    {
        _image = image;
        _mean = statistics?.Mean;
        _scale = statistics?.Scale;
        _encoded = (int)convolutions[^1].weight!.shape[0];
        _channels = (int)head.weight!.shape[1];
        _convolutions = new PackedConvolution[convolutions.Length];
        _norms = new PackedNormalization[norms.Length];
        (int channels, int height, int width) = (image.Channels, image.Height, image.Width);
        _largest = channels * height * width;
        for (int i = 0; i < convolutions.Length; i++)
        {
            var layer = new PackedConvolution(convolutions[i].weight!, convolutions[i].bias!, channels, height, width, i == 0 ? 1 : 2);
            _convolutions[i] = layer;
            if (i < norms.Length)
                _norms[i] = Pack(norms[i], layer);
            (channels, height, width) = (layer.Channels, layer.Height + 2, layer.Width + 2);
            _largest = Math.Max(_largest, channels * height * width);
            _scratch = Math.Max(_scratch, layer.ScratchLength);
        }
        if (augmentation is { Weight: { } lift, Bias: { } bias })
            _lift = new PackedLinear(Padded(lift, Last.Channels), Values(bias));
        int padded = PackedLinear.Pad(_channels);
        _largest = Math.Max(_largest, Last.Height * Last.Width * padded);
        _headNorm = new PackedNormalization(
            headNorm.weight!, headNorm.bias!, headNorm.num_groups, Epsilon, padded, Last.Height, Last.Width);
        _head = new PackedLinear(Padded(head.weight!, padded), Values(head.bias!));
        _scratch = Math.Max(_scratch, _headNorm.ScratchLength + _headNorm.Channels + _head.Width);
    }

    private PackedConvolution Last => _convolutions[^1];

    /// <summary>
    /// The states <c>[rows, channels, height, width]</c> of images <c>[rows, features]</c>, on several threads where there are many.
    /// </summary>
    public void Encode(Tensor images, Tensor states)
    {
        var from = (nint)StateKernels.Address(images);
        var to = (nint)StateKernels.Address(states);
        long rows = images.shape[0], size = _image.Size, state = (long)_channels * Last.Height * Last.Width;
        ForEach(rows, (row, memory) => Encode((float*)from + row * size, (float*)to + row * state, memory));
    }

    /// <summary>The outputs <c>[rows, outputs]</c> of states.</summary>
    public void Decode(Tensor states, Tensor outputs)
    {
        var from = (nint)StateKernels.Address(states);
        var to = (nint)StateKernels.Address(outputs);
        long rows = states.shape[0], state = (long)_channels * Last.Height * Last.Width;
        ForEach(rows, (row, memory) => Decode((float*)from + row * state, (float*)to + row * _head.Outputs, memory));
    }

    private void ForEach(long rows, Action<long, nint> body)
    {
        const int Together = 4;
        int workers = (int)Math.Clamp(rows / Together, 1, get_num_threads());
        RowBlocks.Run(workers, (nint)rows, Together, (_, start, count) =>
        {
            float[] memory = ArrayPool<float>.Shared.Rent(2 * _largest + _scratch);
            try
            {
                fixed (float* first = memory)
                    for (nint row = start; row < start + count; row++)
                        body(row, (nint)first);
            }
            finally
            {
                ArrayPool<float>.Shared.Return(memory);
            }
        });
    }

    private void Encode(float* image, float* state, nint memory)
    {
        float* x = (float*)memory, y = x + _largest, scratch = y + _largest;
        Interleave(image, x);
        for (int i = 0; i < _convolutions.Length; i++)
        {
            PackedConvolution layer = _convolutions[i];
            layer.Apply(x, y, scratch);
            if (i == _norms.Length)
                break;
            int row = (layer.Width + 2) * layer.Channels;
            new Span<float>(x, (layer.Height + 2) * row).Clear();
            _norms[i].Apply(y, x + row + layer.Channels, row, scratch);
        }
        int places = Last.Height * Last.Width;
        Separate(y, Last.Channels, places, state, _encoded);
        float* further = state + (nint)_encoded * places;
        if (_lift is null)
        {
            new Span<float>(further, (_channels - _encoded) * places).Clear();
            return;
        }
        _lift.Apply(y, Last.Channels, places, x, _lift.Width);
        Separate(x, _lift.Width, places, further, _lift.Outputs);
    }

    /// <summary>Lays channels that are side by side one after the other.</summary>
    private static void Separate(float* from, int step, int places, float* to, int channels)
    {
        for (int c = 0; c < channels; c++)
            for (int p = 0; p < places; p++)
                to[c * places + p] = from[p * step + c];
    }

    private void Decode(float* state, float* outputs, nint memory)
    {
        float* x = (float*)memory, scratch = x + 2 * _largest, means = scratch + _headNorm.ScratchLength,
            result = means + _headNorm.Channels;
        int places = Last.Height * Last.Width;
        new Span<float>(x, places * _headNorm.Channels).Clear();
        for (int c = 0; c < _channels; c++)
            for (int p = 0; p < places; p++)
                x[p * _headNorm.Channels + c] = state[c * places + p];
        _headNorm.Apply(x, x, Last.Width * _headNorm.Channels, scratch);
        _headNorm.Mean(x, means);
        _head.Apply(means, _headNorm.Channels, 1, result, _head.Width);
        new ReadOnlySpan<float>(result, _head.Outputs).CopyTo(new Span<float>(outputs, _head.Outputs));
    }

    /// <summary>Normalises an image and lays it out channels-last.</summary>
    private void Interleave(float* image, float* to)
    {
        int places = _image.Height * _image.Width;
        for (int c = 0; c < _image.Channels; c++)
            for (int p = 0; p < places; p++)
            {
                int at = c * places + p;
                float value = image[at];
                if (_mean is not null)
                    value = (value - _mean[_mean.Length == 1 ? 0 : at]) * _scale![_scale.Length == 1 ? 0 : at];
                to[p * _image.Channels + c] = value;
            }
    }

    private static PackedNormalization Pack(GroupNorm norm, PackedConvolution layer) => new(
        norm.weight!, norm.bias!, norm.num_groups, Epsilon, layer.Channels, layer.Height, layer.Width);

    private static float[] Padded(Tensor weight, int inputs)
    {
        float[] values = Values(weight);
        int rows = (int)weight.shape[0], columns = (int)weight.shape[1];
        var padded = new float[rows * inputs];
        for (int row = 0; row < rows; row++)
            values.AsSpan(row * columns, columns).CopyTo(padded.AsSpan(row * inputs));
        return padded;
    }

    private static float[] Values(Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        return tensor.detach().cpu().contiguous().data<float>().ToArray();
    }
}
