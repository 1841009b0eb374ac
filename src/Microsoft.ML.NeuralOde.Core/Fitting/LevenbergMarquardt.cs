namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>Residuals with their derivatives.</summary>
internal interface IResiduals
{
    /// <summary>The number of residuals.</summary>
    int Count { get; }

    /// <summary>Writes residuals and Jacobian at a point; false where there are none.</summary>
    bool TryEvaluate(double[] point, double[] residuals, double[,] jacobian);
}

/// <summary>
/// Least squares by the method of Levenberg and Marquardt, damped in proportion to the diagonal (J. J. Moré, The Levenberg–Marquardt
/// algorithm: implementation and theory, 1978), with the damping of H. B. Nielsen (1999).
/// </summary>
internal sealed class LevenbergMarquardt(IResiduals problem, double[] start, double tolerance, int maximumIterations)
{
    private const double LargestDamping = 1e12;

    private readonly int _size = start.Length;
    private double[] _residuals = new double[problem.Count];
    private double[,] _jacobian = new double[problem.Count, start.Length];
    private double[] _nextResiduals = new double[problem.Count];
    private double[,] _nextJacobian = new double[problem.Count, start.Length];
    private double _damping = 1e-3;
    private double _growth = 2;

    public double[] Point { get; private set; } = (double[])start.Clone();

    /// <summary>The sum of squares at <see cref="Point"/>.</summary>
    public double SumOfSquares { get; private set; }

    public ReadOnlySpan<double> Residuals => _residuals;

    public int Iterations { get; private set; }

    /// <summary>Searches; null where not even the start can be evaluated.</summary>
    public OdeFitConvergence? Run()
    {
        if (!problem.TryEvaluate(Point, _residuals, _jacobian))
            return null;
        SumOfSquares = Sum(_residuals);
        while (Iterations < maximumIterations)
        {
            Iterations++;
            (double[,] normal, double[] gradient) = Normal();
            if (SumOfSquares == 0 || Array.TrueForAll(gradient, g => g == 0))
                return OdeFitConvergence.Converged;
            double? gain = Step(normal, gradient);
            if (gain is null)
                // Where nothing is to be gained to first order either, this is the minimum as far as rounding shows it.
                return Promise(normal, gradient) <= 1e3 * tolerance * SumOfSquares
                    ? OdeFitConvergence.Converged : OdeFitConvergence.Stalled;
            if (gain <= tolerance)
                return OdeFitConvergence.Converged;
        }
        return OdeFitConvergence.IterationLimit;
    }

    /// <summary>(JᵀJ)⁻¹ at the point; null where it is singular.</summary>
    public double[,]? Covariance() => PositiveMatrix.Invert(Normal().Matrix);

    /// <summary>Takes a step that improves; returns by what fraction, or null where none does.</summary>
    private double? Step(double[,] normal, double[] gradient)
    {
        for (; _damping < LargestDamping; _damping *= _growth, _growth *= 2)
        {
            if (PositiveMatrix.Solve(Damped(normal), gradient) is not { } step)
                continue;
            double[] next = new double[_size];
            for (int i = 0; i < _size; i++)
                next[i] = Point[i] - step[i];
            if (!problem.TryEvaluate(next, _nextResiduals, _nextJacobian))
                continue;
            double sum = Sum(_nextResiduals);
            if (!(sum < SumOfSquares))
                continue;
            double actual = SumOfSquares - sum;
            double ratio = actual / Math.Max(Predicted(normal, gradient, step), double.Epsilon);
            (_damping, _growth) = (_damping * Math.Max(1.0 / 3, 1 - Math.Pow(2 * Math.Min(ratio, 1) - 1, 3)), 2);
            double fraction = actual / SumOfSquares;
            (Point, SumOfSquares) = (next, sum);
            (_residuals, _nextResiduals) = (_nextResiduals, _residuals);
            (_jacobian, _nextJacobian) = (_nextJacobian, _jacobian);
            return fraction;
        }
        _damping = 1e-3;
        return null;
    }

    /// <summary>What the undamped step would gain to first order.</summary>
    private double Promise(double[,] normal, double[] gradient)
    {
        _damping = 1e-10;
        return PositiveMatrix.Solve(Damped(normal), gradient) is { } step
            ? step.Zip(gradient, (s, g) => s * g).Sum() : double.PositiveInfinity;
    }

    private double[,] Damped(double[,] normal)
    {
        var damped = (double[,])normal.Clone();
        for (int i = 0; i < _size; i++)
            damped[i, i] += _damping * Math.Max(normal[i, i], 1e-12);
        return damped;
    }

    private double Predicted(double[,] normal, double[] gradient, double[] step)
    {
        double sum = 0;
        for (int i = 0; i < _size; i++)
        {
            double product = 0;
            for (int j = 0; j < _size; j++)
                product += normal[i, j] * step[j];
            sum += step[i] * (2 * gradient[i] - product);
        }
        return sum;
    }

    /// <summary>JᵀJ and Jᵀr.</summary>
    private (double[,] Matrix, double[] Gradient) Normal()
    {
        var matrix = new double[_size, _size];
        var gradient = new double[_size];
        for (int row = 0; row < _residuals.Length; row++)
            for (int i = 0; i < _size; i++)
            {
                double slope = _jacobian[row, i];
                if (slope == 0)
                    continue;
                gradient[i] += slope * _residuals[row];
                for (int j = 0; j <= i; j++)
                    matrix[i, j] += slope * _jacobian[row, j];
            }
        for (int i = 0; i < _size; i++)
            for (int j = 0; j < i; j++)
                matrix[j, i] = matrix[i, j];
        return (matrix, gradient);
    }

    private static double Sum(double[] residuals) => residuals.Sum(r => r * r);
}

/// <summary>Small symmetric positive matrices, by the factors of Cholesky.</summary>
internal static class PositiveMatrix
{
    /// <summary>M⁻¹ b; null where M is not positive.</summary>
    public static double[]? Solve(double[,] matrix, double[] right)
    {
        if (Factor(matrix) is not { } factor)
            return null;
        int n = right.Length;
        var x = (double[])right.Clone();
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < i; j++)
                x[i] -= factor[i, j] * x[j];
            x[i] /= factor[i, i];
        }
        for (int i = n - 1; i >= 0; i--)
        {
            for (int j = i + 1; j < n; j++)
                x[i] -= factor[j, i] * x[j];
            x[i] /= factor[i, i];
        }
        return Array.TrueForAll(x, double.IsFinite) ? x : null;
    }

    /// <summary>M⁻¹; null where M is not positive beyond rounding.</summary>
    public static double[,]? Invert(double[,] matrix)
    {
        int n = matrix.GetLength(0);
        var inverse = new double[n, n];
        for (int column = 0; column < n; column++)
        {
            var unit = new double[n];
            unit[column] = 1;
            if (Solve(matrix, unit) is not { } solution)
                return null;
            for (int row = 0; row < n; row++)
                inverse[row, column] = solution[row];
        }
        return inverse;
    }

    private static double[,]? Factor(double[,] matrix)
    {
        const double Rounding = 1e-14;
        int n = matrix.GetLength(0);
        var factor = new double[n, n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
            {
                double sum = matrix[i, j];
                for (int k = 0; k < j; k++)
                    sum -= factor[i, k] * factor[j, k];
                if (i != j)
                    factor[i, j] = sum / factor[j, j];
                else if (sum > Rounding * matrix[i, i])
                    factor[i, i] = Math.Sqrt(sum);
                else
                    return null;
            }
        return factor;
    }
}
