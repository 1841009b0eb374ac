using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// How an <see cref="ErrorNorm"/> makes one number of the errors of all components: by tensor operations, and by kernels where there are
/// some.
/// </summary>
internal abstract class ErrorMeasure
{
    /// <summary>Whether it is the root of the mean of squares, which solvers without tensors know too.</summary>
    public virtual bool IsRootMeanSquare => false;

    /// <summary>One number a lane, in the current scope.</summary>
    /// <param name="errors">The errors in units of the tolerances, shape <c>[lanes, components]</c>.</param>
    public abstract Tensor Of(Tensor errors);

    /// <summary>The numbers of one or more errors of all lanes, one below the other.</summary>
    /// <param name="errors">The errors in units of the tolerances, shape <c>[errors · lanes, components]</c>.</param>
    /// <param name="lanes">The number of lanes.</param>
    public virtual double[] Read(Tensor errors, int lanes)
    {
        if (errors.shape[0] <= lanes)
            return OnHost(Of(errors));
        var numbers = new List<double>();
        for (long start = 0; start < errors.shape[0]; start += lanes)
            numbers.AddRange(OnHost(Of(errors.narrow(0, start, lanes))));
        return [.. numbers];
    }

    /// <summary>
    /// The same of h Σ_j w_j k_j over atol + rtol max(|y0|, |y1|), in memory that <see cref="StateKernels"/> support; false where there is
    /// no kernel.
    /// </summary>
    /// <param name="result">One number a lane.</param>
    /// <param name="y0">The state at the step's start.</param>
    /// <param name="y1">That at its end.</param>
    /// <param name="coefficients">h w, lane-major.</param>
    /// <param name="k">The stage derivatives.</param>
    /// <param name="rtol">The relative tolerance.</param>
    /// <param name="atol">The absolute tolerance.</param>
    public virtual bool TryOf(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol, double atol) =>
        false;

    /// <summary>Numbers from a device, which this waits for.</summary>
    protected static double[] OnHost(Tensor numbers) => numbers.cpu().to(ScalarType.Float64).contiguous().data<double>().ToArray();
}

/// <summary>The root of the mean of squares.</summary>
internal class RootMeanSquare : ErrorMeasure
{
    public override bool IsRootMeanSquare => true;

    public override Tensor Of(Tensor errors) => errors.Squared().mean([1L]).sqrt();

    public override double[] Read(Tensor errors, int lanes)
    {
        double root = Math.Sqrt(Math.Max(1, errors.shape[1]));
        return Array.ConvertAll(OnHost(linalg.vector_norm(errors, 2, [1L])), norm => norm / root);
    }

    public override bool TryOf(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol, double atol)
    {
        StateKernels.ScaledError(result, y0, y1, coefficients, k, rtol, atol, maximum: false);
        double width = Math.Max(1, (double)y0.numel() / result.Length);
        foreach (ref double lane in result)
            lane = Math.Sqrt(lane / width);
        return true;
    }
}

/// <summary>
/// The root of the mean of squares over the components of several processes that solve parts of one batch: they make the same steps.
/// </summary>
/// <param name="share">
/// Gets this process's mean of squares and its number of components, and returns the mean over all processes. Called once for each error
/// of a solve with one step size for the batch.
/// </param>
internal sealed class SharedRootMeanSquare(Func<double, double, double> share) : RootMeanSquare
{
    public override bool IsRootMeanSquare => false;

    public override Tensor Of(Tensor errors)
    {
        Tensor norms = base.Of(errors);
        if (errors.shape[0] != 1)
            return norms;
        using Scalar all = Share(norms.ToDouble(), errors.shape[1]);
        return full_like(norms, all);
    }

    public override bool TryOf(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol, double atol)
    {
        base.TryOf(result, y0, y1, coefficients, k, rtol, atol);
        if (result.Length == 1)
            result[0] = Share(result[0], y0.numel());
        return true;
    }

    public override double[] Read(Tensor errors, int lanes)
    {
        double[] norms = base.Read(errors, lanes);
        return lanes == 1 ? Array.ConvertAll(norms, norm => Share(norm, errors.shape[1])) : norms;
    }

    private double Share(double norm, double components) => Math.Sqrt(share(norm * norm, components));
}

/// <summary>The largest absolute value.</summary>
internal sealed class LargestError : ErrorMeasure
{
    public override Tensor Of(Tensor errors) => errors.abs().amax(1);

    public override double[] Read(Tensor errors, int lanes) => OnHost(linalg.vector_norm(errors, double.PositiveInfinity, [1L]));

    public override bool TryOf(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol, double atol)
    {
        StateKernels.ScaledError(result, y0, y1, coefficients, k, rtol, atol, maximum: true);
        return true;
    }
}

/// <summary>A user's function.</summary>
internal sealed class OwnMeasure(string name, Func<Tensor, Tensor> function) : ErrorMeasure
{
    private const string What = "The error norm";

    public override Tensor Of(Tensor errors)
    {
        Tensor norms = UserFunction.Returned(What, UserFunction.Call(What, errors, () => function(errors)), "one number a lane");
        long lanes = errors.shape[0];
        if (norms.numel() != lanes)
            throw new InvalidOperationException(
                $"{What} '{name}' returned shape [{string.Join(", ", norms.shape)}]; it must return one number a lane, shape [{lanes}].");
        return norms;
    }
}
