namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Exponentials of many small matrices by operations of torch.</summary>
/// <remarks>
/// Taylor polynomials with scaling and squaring, each matrix with a scaling of its own, so that it does not matter which others there are.
/// torch's own function is as good, but not its derivative, which loses digits where the derivative that comes in is large.
/// </remarks>
internal static class MatrixExponential
{
    /// <summary>exp of matrices in the last two dimensions.</summary>
    public static Tensor Of(Tensor matrices)
    {
        // With a norm of 1/2 the first term left out is below half a unit in the last place.
        int degree = matrices.dtype == ScalarType.Float32 ? 8 : 15;
        Tensor norms = matrices.detach().abs().sum(-1).amax([-1L]);
        Tensor squarings = norms.Times(2).AtLeast(1).log2().ceil();
        Tensor scale = squarings.neg().exp2().unsqueeze(-1).unsqueeze(-1);
        Tensor scaled = matrices * scale;
        Tensor unit = eye(matrices.size(-1), dtype: matrices.dtype, device: matrices.device);
        Tensor sum = unit.Plus(scaled.Over(degree));
        for (int k = degree - 1; k >= 1; k--)
            sum = unit.Plus(scaled.matmul(sum).Over(k));
        int most = (int)squarings.max().ToDouble();
        Tensor column = squarings.unsqueeze(-1).unsqueeze(-1);
        for (int k = 0; k < most; k++)
        {
            using Scalar done = (double)k;
            sum = where(column.gt(done), sum.matmul(sum), sum);
        }
        return sum;
    }
}
