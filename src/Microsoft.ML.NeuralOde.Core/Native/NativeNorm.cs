using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Sizes of errors in units of the tolerances, as <see cref="Stepping.StateArithmetic.ScaledError"/> of tensors.</summary>
internal sealed unsafe class NativeNorm
{
    private readonly int _size;
    private readonly bool _isMaximum;
    private readonly double _relative;
    private readonly double _absolute;
    private readonly double[]? _relatives;
    private readonly double[]? _absolutes;

    /// <exception cref="ArgumentException">Tolerances of single components do not fit.</exception>
    public NativeNorm(OdeSolverOptions options, int size)
    {
        _size = size;
        _isMaximum = ReferenceEquals(options.Norm, ErrorNorm.Maximum);
        _relative = options.RelativeTolerance;
        _absolute = options.AbsoluteTolerance;
        if (options.RelativeTolerances is null && options.AbsoluteTolerances is null)
            return;
        using Tensor like = zeros([size], ScalarType.Float64);
        Inputs.CheckTolerances(options, like);
        _relatives = PerComponent(options.RelativeTolerances, _relative);
        _absolutes = PerComponent(options.AbsoluteTolerances, _absolute);
    }

    private NativeNorm(int size, double tolerance) => (_size, _relative, _absolute) = (size, tolerance, tolerance);

    /// <summary>Sizes in units of rounding.</summary>
    public static NativeNorm OfRounding(int size) => new(size, 1e-13);

    /// <summary>The size of h Σ_j w_j k_j for a step between two states; NaN where it is not finite.</summary>
    public double Of(double* start, double* end, double h, ReadOnlySpan<double> weights, double** k)
    {
        double total = _relatives is null
            ? StateKernels.ScaledError(start, end, h, weights, k, _size, _relative, _absolute, _isMaximum)
            : OfComponents(start, end, h, weights, k);
        return _isMaximum ? total : Math.Sqrt(total / _size);
    }

    /// <summary>The size of one vector.</summary>
    public double Of(double* start, double* end, double* error) => Of(start, end, 1, [1], &error);

    private double OfComponents(double* start, double* end, double h, ReadOnlySpan<double> weights, double** k)
    {
        double total = 0;
        for (int i = 0; i < _size; i++)
        {
            double error = 0;
            for (int j = 0; j < weights.Length; j++)
                if (weights[j] != 0)
                    error += h * weights[j] * k[j][i];
            // Above 0, so that a component that is and stays 0 has no error.
            double scale = Math.Max(
                _absolutes![i] + _relatives![i] * Math.Max(Math.Abs(start[i]), Math.Abs(end[i])), 2.2250738585072014E-308);
            double ratio = Math.Abs(error / scale);
            total = !_isMaximum ? total + ratio * ratio : double.IsNaN(ratio) || ratio > total ? ratio : total;
        }
        return total;
    }

    private double[] PerComponent(Tensor? tolerances, double one)
    {
        var result = new double[_size];
        Array.Fill(result, one);
        if (tolerances is null)
            return result;
        using DisposeScope scope = NewDisposeScope();
        tolerances.detach().to(ScalarType.Float64, CPU).expand([_size]).contiguous().data<double>().CopyTo(result);
        return result;
    }
}
