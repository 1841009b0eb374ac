using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>A layer normalisation's parameters and their places; null for those that it has not.</summary>
/// <param name="Width">How many numbers of a row it normalises: all.</param>
/// <param name="Epsilon">What is added to the variance.</param>
/// <param name="Weight">What the normalised row is multiplied by.</param>
/// <param name="Bias">What is added.</param>
/// <param name="WeightSlot">The place of the weight.</param>
/// <param name="BiasSlot">That of the bias.</param>
internal sealed record NormalizationParameters(
    int Width, double Epsilon, Parameter? Weight, Parameter? Bias, int? WeightSlot, int? BiasSlot)
{
    /// <summary>Those that there are.</summary>
    public IEnumerable<Parameter> All => new[] { Weight, Bias }.OfType<Parameter>();
}

/// <summary>Layer normalisation (J. L. Ba, J. R. Kiros, G. E. Hinton, Layer normalization, 2016) of rows in plain memory.</summary>
internal sealed unsafe class RowNormalization<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly RowNormalizationKernels<T> _kernels = RowNormalizationKernels<T>.Instance;
    private readonly Scratch<T> _vectors;
    private readonly T _epsilon;

    public RowNormalization(NormalizationParameters parameters, DenseKernels<T> kernels)
    {
        Parameters = parameters;
        Padded = kernels.Pad(parameters.Width);
        _vectors = new Scratch<T>(2 * Padded);
        _epsilon = T.CreateTruncating(parameters.Epsilon);
    }

    public NormalizationParameters Parameters { get; }

    public int Width => Parameters.Width;

    /// <summary>The width with padding.</summary>
    public int Padded { get; }

    private T* Weight => _vectors.Start;

    private T* Bias => _vectors.Start + Padded;

    /// <summary>Takes the weights over.</summary>
    public void Refresh()
    {
        Take(Parameters.Weight, Weight, T.One);
        Take(Parameters.Bias, Bias, T.Zero);
    }

    /// <summary>Normalises rows.</summary>
    /// <param name="from">The rows.</param>
    /// <param name="fromRow">From one to the next.</param>
    /// <param name="to">Where the results go; may be the rows themselves.</param>
    /// <param name="toRow">From one to the next.</param>
    /// <param name="rows">How many.</param>
    /// <param name="normalized">Where normalised rows are kept, padded; null for nowhere.</param>
    /// <param name="inverses">Where 1 / the standard deviations are; null for nowhere.</param>
    public void Apply(T* from, nint fromRow, T* to, nint toRow, nint rows, T* normalized = null, T* inverses = null)
    {
        for (nint r = 0; r < rows; r++)
        {
            T inverse = _kernels.Normalize(
                from + r * fromRow, to + r * toRow, Width, Weight, Bias, _epsilon, normalized == null ? null : normalized + r * Padded);
            if (inverses != null)
                inverses[r] = inverse;
        }
    }

    /// <summary>The cotangents of rows from those of their results, in place.</summary>
    public void Pull(T* cotangents, nint row, nint rows, T* normalized, T* inverses)
    {
        for (nint r = 0; r < rows; r++)
            _kernels.Pull(cotangents + r * row, cotangents + r * row, Width, Weight, normalized + r * Padded, inverses[r]);
    }

    private void Take(Parameter? parameter, T* to, T otherwise)
    {
        var target = new Span<T>(to, Width);
        if (parameter is null)
            target.Fill(otherwise);
        else
            new ReadOnlySpan<T>(StateKernels.Address(parameter), Width).CopyTo(target);
    }
}

/// <summary>What the derivatives of a <see cref="RowNormalization{T}"/> need at one point, and after a pull the cotangents.</summary>
internal sealed unsafe class RowNormalizationRecord<T>(RowNormalization<T> normalization, DenseKernels<T> kernels)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Scratch<T> _normalized = new();
    private readonly Scratch<T> _inverses = new();
    private readonly Scratch<T> _cotangents = new();
    private readonly Scratch<T> _sum = new(normalization.Padded);

    /// <summary>How many numbers it holds.</summary>
    public nint Count => _normalized.Count + _inverses.Count + _cotangents.Count;

    /// <summary>Makes room for rows.</summary>
    public void Ensure(nint rows)
    {
        _normalized.Ensure(rows * normalization.Padded);
        _inverses.Ensure(rows);
        _cotangents.Ensure(rows * normalization.Padded);
    }

    /// <summary>Normalises a block of rows in place.</summary>
    public void Apply(T* rows, nint row, nint start, nint count) =>
        normalization.Apply(rows, row, rows, row, count, _normalized.Start + start * normalization.Padded, _inverses.Start + start);

    /// <summary>Pulls the cotangents of a block of rows back in place.</summary>
    public void Pull(T* cotangents, nint row, nint start, nint count)
    {
        T* kept = _cotangents.Start + start * normalization.Padded;
        for (nint r = 0; r < count; r++)
            new ReadOnlySpan<T>(cotangents + r * row, normalization.Width)
                .CopyTo(new Span<T>(kept + r * normalization.Padded, normalization.Width));
        normalization.Pull(cotangents, row, count, _normalized.Start + start * normalization.Padded, _inverses.Start + start);
    }

    /// <summary>Adds the gradients of weight and bias.</summary>
    public void AddGradients(double factor, nint rows, IReadOnlyList<Tensor?> gradients)
    {
        int padded = normalization.Padded;
        if (normalization.Parameters.WeightSlot is { } place && gradients[place] is { } weight)
        {
            new Span<T>(_sum.Start, padded).Clear();
            for (nint r = 0; r < rows; r++)
                kernels.AddProduct(_sum.Start, _cotangents.Start + r * padded, _normalized.Start + r * padded, padded);
            Add(factor, weight);
        }
        if (normalization.Parameters.BiasSlot is { } next && gradients[next] is { } bias)
        {
            kernels.SumRows(_sum.Start, _cotangents.Start, padded, rows, null);
            Add(factor, bias);
        }
    }

    private void Add(double factor, Tensor target)
    {
        T* to = (T*)StateKernels.Address(target);
        T alpha = T.CreateTruncating(factor);
        for (int i = 0; i < normalization.Width; i++)
            to[i] += alpha * _sum.Start[i];
    }
}
