using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// Group normalisation of an image (Y. Wu, K. He, Group Normalization, 2018) with the activation behind it, and both back.
/// </summary>
internal sealed unsafe class GroupNormalization<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly ConvolutionPlan<T> _plan;
    private readonly Activation? _activation;
    private readonly T _epsilon;
    private readonly Parameter _weight;
    private readonly Parameter _bias;
    private readonly DenseKernels<T> _dense = DenseKernels<T>.Instance;
    private readonly ImageKernels<T> _images = ImageKernels<T>.Instance;
    private readonly Scratch<T> _vectors;
    private readonly int _groupSize;
    private readonly T _share;

    public GroupNormalization(Parameter weight, Parameter bias, Activation? activation, double epsilon, ConvolutionPlan<T> plan)
    {
        _plan = plan;
        _activation = activation;
        _epsilon = T.CreateTruncating(epsilon);
        _weight = weight;
        _bias = bias;
        _vectors = new Scratch<T>(2 * plan.Padded);
        _groupSize = plan.Channels / plan.Groups;
        _share = T.CreateTruncating(1.0 / ((double)_groupSize * plan.Height * plan.Width));
    }

    public T* Weight => _vectors.Start;

    public T* Bias => _vectors.Start + _plan.Padded;

    /// <summary>Takes the weights over.</summary>
    public void Refresh()
    {
        new ReadOnlySpan<T>(StateKernels.Address(_weight), _plan.Channels).CopyTo(new Span<T>(Weight, _plan.Channels));
        new ReadOnlySpan<T>(StateKernels.Address(_bias), _plan.Channels).CopyTo(new Span<T>(Bias, _plan.Channels));
    }

    /// <summary>Normalises an image and activates it.</summary>
    /// <param name="image">The image; <paramref name="shift"/> is added to it before, where it is not null.</param>
    /// <param name="shift">An image without gaps.</param>
    /// <param name="bias">The bias to take, padded.</param>
    /// <param name="normalized">Where the normalised image is kept, without gaps; null for nowhere.</param>
    /// <param name="inverse">Where 1 / the standard deviation is kept, for each channel.</param>
    /// <param name="to">Where the result goes.</param>
    /// <param name="vectors">Room for two vectors of channels whose padding is zero.</param>
    public void Normalize(Plane<T> image, T* shift, T* bias, T* normalized, T* inverse, Plane<T> to, T* vectors)
    {
        T* sums = vectors;
        T* mean = vectors + _plan.Padded;
        _images.Sum(image, shift, _plan.Height, _plan.Width, _plan.Padded, sums);
        _images.SumGroups(sums, _plan.Channels, _groupSize, _share, mean);
        _images.SumSquares(image, mean, _plan.Height, _plan.Width, _plan.Padded, sums);
        _images.SumGroups(sums, _plan.Channels, _groupSize, _share, inverse);
        _images.InverseRoot(inverse, _plan.Padded, _epsilon);
        _images.Normalize(_activation, image, mean, inverse, Weight, bias, _plan.Height, _plan.Width, _plan.Padded, normalized, to);
    }

    /// <summary>The activated image again, from the normalised one.</summary>
    public void Activate(T* normalized, Plane<T> to) =>
        _images.Normalize(
            _activation, new Plane<T>(normalized, _plan.ImageRow), null, null, Weight, Bias, _plan.Height, _plan.Width,
            _plan.Padded, null, to);

    /// <summary>Pulls a cotangent of the result back to the image.</summary>
    /// <param name="cotangent">λ; changed.</param>
    /// <param name="normalized">What <see cref="Normalize"/> kept.</param>
    /// <param name="inverse">What <see cref="Normalize"/> kept.</param>
    /// <param name="sums">Where the gradients of bias and weight go, one vector of channels behind the other.</param>
    /// <param name="to">Where the cotangent of the image goes, without gaps.</param>
    /// <param name="copy">Where it goes too, if there is a plane.</param>
    /// <param name="vectors">Room for three vectors of channels whose padding is zero.</param>
    public void Pull(Plane<T> cotangent, T* normalized, T* inverse, T* sums, T* to, Plane<T> copy, T* vectors)
    {
        T* products = sums + _plan.Padded;
        _images.PullActivation(_activation, cotangent, normalized, Weight, Bias, _plan.Height, _plan.Width, _plan.Padded, sums, products);
        T* scale = vectors;
        T* offset = scale + _plan.Padded;
        T* slope = offset + _plan.Padded;
        _dense.Product(offset, Weight, sums, _plan.Padded);
        _images.SumGroups(offset, _plan.Channels, _groupSize, _share, offset);
        _dense.MultiplyBy(offset, inverse, _plan.Padded);
        _dense.Product(slope, Weight, products, _plan.Padded);
        _images.SumGroups(slope, _plan.Channels, _groupSize, _share, slope);
        _dense.MultiplyBy(slope, inverse, _plan.Padded);
        _dense.Product(scale, Weight, inverse, _plan.Padded);
        _images.PullNormalization(cotangent, normalized, scale, offset, slope, _plan.Height, _plan.Width, _plan.Padded, to, copy);
    }
}
