using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>The memory one worker needs for a block of images, and the products of minimal filtering in it.</summary>
internal sealed unsafe class ConvolutionWorkspace<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int Vectors = 7;

    private readonly ConvolutionPlan<T> _plan;
    private readonly DenseKernels<T> _dense = DenseKernels<T>.Instance;
    private readonly Scratch<T> _image;
    private readonly Scratch<T> _bordered;
    private readonly Scratch<T> _tiled;
    private readonly Scratch<T> _cotangent = new();
    private readonly Scratch<T> _shift = new();
    private readonly Scratch<T> _inputs;
    private readonly Scratch<T> _products;
    private readonly Scratch<T> _vectors;
    private readonly Scratch<T> _taps = new();

    public ConvolutionWorkspace(ConvolutionPlan<T> plan)
    {
        _plan = plan;
        _image = new Scratch<T>(plan.ImageCount);
        _bordered = new Scratch<T>(plan.BorderedCount);
        _tiled = new Scratch<T>(plan.TiledCount);
        _inputs = new Scratch<T>(plan.Filters.Points * plan.PointStep);
        _products = new Scratch<T>(plan.Filters.Points * plan.PointStep);
        _vectors = new Scratch<T>(Vectors * plan.Padded);
    }

    /// <summary>An image without gaps.</summary>
    public Plane<T> Image => new(_image.Start, _plan.ImageRow);

    /// <summary>The inside of the image that <see cref="TransformInput"/> reads: around it and beyond it are zeros.</summary>
    public Plane<T> Inside => new(_bordered.Start + _plan.BorderedRow + _plan.Padded, _plan.BorderedRow);

    /// <summary>The image that <see cref="TransformOutput"/> writes.</summary>
    public Plane<T> Output => new(_tiled.Start, _plan.TiledRow);

    /// <summary>Room for three vectors of channels, whose padding is zero.</summary>
    public T* Temporary => _vectors.Start;

    /// <summary>Room for a vector of channels, whose padding is zero.</summary>
    public T* Inverse => _vectors.Start + 3 * _plan.Padded;

    /// <summary>Room for another.</summary>
    public T* Bias => _vectors.Start + 4 * _plan.Padded;

    /// <summary>Room for two vectors of channels.</summary>
    public T* Sums => _vectors.Start + 5 * _plan.Padded;

    /// <summary>Room for an image without gaps that is added to another.</summary>
    public T* Shift => _shift.Ensure(_plan.ImageCount);

    /// <summary>Room for nine vectors of channels, one a tap.</summary>
    public T* Taps => _taps.Ensure(9 * _plan.Padded);

    /// <summary>Transforms the bordered image; it becomes image number <paramref name="image"/> of the block.</summary>
    public void TransformInput(int image) =>
        _plan.Filters.TransformInput(
            _bordered.Start, _plan.BorderedRow, _plan.Padded, _plan.TilesY, _plan.TilesX,
            _inputs.Start + image * _plan.Tiles * _plan.Padded, _plan.PointStep);

    /// <summary>
    /// Transforms a cotangent without gaps, in place of an output; it becomes image number <paramref name="image"/> of the block.
    /// </summary>
    public void TransformCotangent(T* cotangent, int image)
    {
        T* tiled = cotangent;
        if (_plan.TiledCount != _plan.ImageCount)
        {
            // Whole tiles: beyond the image stay zeros.
            tiled = _cotangent.Ensure(_plan.TiledCount);
            for (int y = 0; y < _plan.Height; y++)
                new ReadOnlySpan<T>(
                    cotangent + y * _plan.ImageRow, _plan.ImageRow).CopyTo(new Span<T>(tiled + y * _plan.TiledRow, _plan.ImageRow));
        }
        _plan.Filters.TransformCotangent(
            tiled, _plan.TiledRow, _plan.Padded, _plan.TilesY, _plan.TilesX, _products.Start + image * _plan.Tiles * _plan.Padded,
            _plan.PointStep);
    }

    /// <summary>Multiplies the transformed images of a block with transformed weights.</summary>
    public void Multiply(T* weights, int images)
    {
        int matrix = _plan.Channels * _plan.Padded;
        for (int p = 0; p < _plan.Filters.Points; p++)
            _dense.Multiply(
                _inputs.Start + p * _plan.PointStep, _plan.Padded, 1, weights + p * matrix, _plan.Padded,
                _products.Start + p * _plan.PointStep, _plan.Padded, images * _plan.Tiles, _plan.Channels, _plan.Padded, null, T.One,
                accumulate: false);
    }

    /// <summary>
    /// ∂L/∂U of a block from its transformed cotangents and inputs, <c>[point, outputs, padded inputs]</c>; added, or put there.
    /// </summary>
    public void MultiplyCotangent(T* gradient, int images, bool accumulate)
    {
        int matrix = _plan.Channels * _plan.Padded;
        for (int p = 0; p < _plan.Filters.Points; p++)
            _dense.Multiply(
                _products.Start + p * _plan.PointStep, 1, _plan.Padded, _inputs.Start + p * _plan.PointStep, _plan.Padded,
                gradient + p * matrix, _plan.Padded, _plan.Channels, images * _plan.Tiles, _plan.Padded, null, T.One, accumulate);
    }

    /// <summary>Transforms the products of an image back, into <see cref="Output"/>.</summary>
    public void TransformOutput(int image) =>
        _plan.Filters.TransformOutput(
            _products.Start + image * _plan.Tiles * _plan.Padded, _plan.PointStep, _plan.TilesY, _plan.TilesX, _tiled.Start, _plan.TiledRow,
            _plan.Padded);
}
