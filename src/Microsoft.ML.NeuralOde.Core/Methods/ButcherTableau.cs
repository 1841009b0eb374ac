namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>The coefficients of a Runge–Kutta method with its error estimate and its continuous extension.</summary>
/// <remarks>
/// k_i = f(t + c_i h, y + h Σ_j a_ij k_j), y₁ = y + h Σ b_i k_i, error estimate h Σ e_i k_i, and inside the step
/// y(t + σh) = y + h Σ_i p_i(σ) k_i with p_i(σ) = Σ_d P_i,d σ^(d+1).
/// </remarks>
internal sealed class ButcherTableau
{
    private readonly Lazy<double> _stabilityLimit;

    public ButcherTableau(int order, double[][] a, double[] b, double[] c, double[]? error = null, int errorOrder = 0,
        ContinuousExtension? extension = null, double[]? secondError = null)
    {
        Order = order;
        A = a;
        B = b;
        C = c;
        Error = error;
        ErrorOrder = errorOrder;
        SecondError = secondError;
        IsFirstSameAsLast = c[^1] == 1 && b[^1] == 0 && a[^1].AsSpan().SequenceEqual(b.AsSpan(0, b.Length - 1));
        Extension = extension ?? ContinuousExtension.Hermite(b, IsFirstSameAsLast, Math.Min(order, 3));
        LastStageAtEnd = Array.FindLastIndex(c, c.Length - (IsFirstSameAsLast ? 2 : 1), node => node == 1);
        Rows = [.. a, b, .. error is null ? [] : new[] { error }, .. secondError is null ? [] : new[] { secondError }];
        ErrorRows = [.. Enumerable.Range(b.Length + 1, Rows.Length - b.Length - 1)];
        _stabilityLimit = new Lazy<double>(FindStabilityLimit);
    }

    /// <summary>Order of the solution that is propagated.</summary>
    public int Order { get; }

    /// <summary>Row i holds a_i0 … a_i,i−1; the first row is empty.</summary>
    public double[][] A { get; }

    public double[] B { get; }

    public double[] C { get; }

    /// <summary>b − b̂, the weights of the error estimate; null for methods without one.</summary>
    public double[]? Error { get; }

    /// <summary>
    /// Weights of a second estimate e₃ of lower order, where the method has one: the error is then |e|² / √(|e|² + 0.01 |e₃|²), which
    /// behaves as an estimate of higher order than both.
    /// </summary>
    public double[]? SecondError { get; }

    /// <summary>All weights of a step: those of the stages, then those of the solution, then those of the error estimates.</summary>
    public double[][] Rows { get; }

    /// <summary>The row of the solution.</summary>
    public int SolutionRow => Stages;

    /// <summary>The rows of the error estimates.</summary>
    public int[] ErrorRows { get; }

    /// <summary>Order of the embedded solution.</summary>
    public int ErrorOrder { get; }

    /// <summary>Whether the last stage is f at the step's end, and so the next step's first.</summary>
    public bool IsFirstSameAsLast { get; }

    public ContinuousExtension Extension { get; }

    public int Stages => B.Length;

    /// <summary>The stages that the solution at the step's end needs: all but one that is f there.</summary>
    public int SolutionStages => IsFirstSameAsLast ? Stages - 1 : Stages;

    /// <summary>The last stage at the step's end whose input is not the solution there; −1 if there is none.</summary>
    public int LastStageAtEnd { get; }

    /// <summary>The largest h|λ| for which y′ = λy with λ &lt; 0 does not grow.</summary>
    public double StabilityLimit => _stabilityLimit.Value;

    private double FindStabilityLimit()
    {
        const double Resolution = 0.01;
        double limit = Resolution;
        while (limit < 1000 && Math.Abs(StabilityFunction(-limit)) <= 1)
            limit += Resolution;
        return limit - Resolution;
    }

    /// <summary>R(z), the factor by which a step multiplies y where hλ = z.</summary>
    private double StabilityFunction(double z)
    {
        var k = new double[Stages];
        for (int i = 0; i < k.Length; i++)
            k[i] = 1 + z * A[i].Zip(k, (a, value) => a * value).Sum();
        return 1 + z * B.Zip(k, (b, value) => b * value).Sum();
    }
}

/// <summary>A Runge–Kutta method's own interpolant: polynomials over its stages, and stages that only the interpolant needs.</summary>
internal sealed class ContinuousExtension
{
    public ContinuousExtension(
        int order, double[][] polynomials, double[][]? extraA = null, double[]? extraC = null, bool firstExtraIsEnd = false)
    {
        Order = order;
        Polynomials = polynomials;
        ExtraA = extraA ?? [];
        ExtraC = extraC ?? [];
        FirstExtraIsEnd = firstExtraIsEnd;
    }

    /// <summary>Order of the interpolant: its local error is O(h^(Order + 1)).</summary>
    public int Order { get; }

    /// <summary>Row i: the coefficients of σ, σ², … for stage i, extra stages behind the method's own.</summary>
    public double[][] Polynomials { get; }

    public double[][] ExtraA { get; }

    public double[] ExtraC { get; }

    /// <summary>Whether the first extra stage is f at the step's end, which the next step can use.</summary>
    public bool FirstExtraIsEnd { get; }

    /// <summary>The cubic through both ends with both derivatives, written over the stages.</summary>
    public static ContinuousExtension Hermite(double[] b, bool firstSameAsLast, int order)
    {
        int stages = b.Length + (firstSameAsLast ? 0 : 1);
        var polynomials = new double[stages][];
        for (int i = 0; i < stages; i++)
        {
            double weight = i < b.Length ? b[i] : 0;
            polynomials[i] = [0, 3 * weight, -2 * weight];
        }
        Add(polynomials[0], [1, -2, 1]);
        Add(polynomials[^1], [0, -1, 1]);
        return firstSameAsLast ? new(order, polynomials) : new(order, polynomials, [b], [1], firstExtraIsEnd: true);

        static void Add(double[] row, double[] values)
        {
            for (int d = 0; d < row.Length; d++)
                row[d] += values[d];
        }
    }

    /// <summary>
    /// The extension whose weights meet as many conditions Σ_i row_i p_i(σ) = Σ_d right_d σ^(d+1) as there are stages.
    /// </summary>
    public static ContinuousExtension Meeting(int order, params IReadOnlyList<(double[] Row, double[] Right)> conditions)
    {
        int degree = conditions.Max(condition => condition.Right.Length);
        double[][] rights =
            [.. conditions.Select(condition => (double[])[.. condition.Right, .. new double[degree - condition.Right.Length]])];
        return new(order, LinearEquations.Solve([.. conditions.Select(condition => condition.Row)], rights));
    }

    /// <summary>p_i(σ) of every stage.</summary>
    public void Weights(double sigma, Span<double> weights)
    {
        for (int i = 0; i < Polynomials.Length; i++)
        {
            double value = 0;
            for (int d = Polynomials[i].Length - 1; d >= 0; d--)
                value = (value + Polynomials[i][d]) * sigma;
            weights[i] = value;
        }
    }

    /// <summary>p_i′(σ) of every stage.</summary>
    public void WeightDerivatives(double sigma, Span<double> weights)
    {
        for (int i = 0; i < Polynomials.Length; i++)
        {
            double value = 0;
            for (int d = Polynomials[i].Length - 1; d >= 0; d--)
                value = value * sigma + (d + 1) * Polynomials[i][d];
            weights[i] = value;
        }
    }

    /// <summary>p_i(σ) for σ of shape <c>[lanes]</c> in the graph: shape <c>[lanes, stages]</c>.</summary>
    public Tensor Weights(Tensor sigma)
    {
        int degree = Polynomials.Max(p => p.Length);
        var flat = new double[degree * Polynomials.Length];
        for (int i = 0; i < Polynomials.Length; i++)
            for (int d = 0; d < Polynomials[i].Length; d++)
                flat[d * Polynomials.Length + i] = Polynomials[i][d];
        Tensor matrix = tensor(flat, [degree, Polynomials.Length], sigma.dtype, sigma.device);
        Tensor powers = stack(Enumerable.Range(1, degree).Select(d => sigma.Power(d)).ToArray(), 1);
        return powers.matmul(matrix);
    }
}
