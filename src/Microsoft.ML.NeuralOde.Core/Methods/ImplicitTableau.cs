namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>The coefficients of an implicit Runge–Kutta method; a_ij of all stages, also above the diagonal.</summary>
/// <remarks>
/// Y_i = y + h Σ_j a_ij f(t + c_j h, Y_j), y₁ = y + h Σ b_i k_i. The error estimate is (I − h γ₀ J)⁻¹ h (e₀ f(t, y) + Σ e_i k_i): the
/// matrix keeps it bounded on stiff components (E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.8).
/// </remarks>
internal sealed class ImplicitTableau
{
    private readonly List<StageMatrix> _matrices = [];
    private readonly Lazy<double[][]> _lagrange;

    public ImplicitTableau(
        int order, double[][] a, double[] b, double[] c, double[]? error = null, double startError = 0, int errorOrder = 0,
        double filter = 0,
        ContinuousExtension? extension = null)
    {
        Order = order;
        A = a;
        B = b;
        C = c;
        Error = error;
        StartError = startError;
        ErrorOrder = errorOrder;
        Filter = filter;
        IsStifflyAccurate = c[^1] == 1 && a[^1].AsSpan().SequenceEqual(b);
        Extension = extension ?? (IsStifflyAccurate ? Cubic(Math.Min(order, 3)) : null);
        Groups = [.. FindGroups(a)];
        FilterMatrix = MatrixOf([[filter]]);
        _lagrange = new Lazy<double[][]>(Lagrange);
    }

    public int Order { get; }

    public double[][] A { get; }

    public double[] B { get; }

    public double[] C { get; }

    /// <summary>e_i; null for methods without an estimate.</summary>
    public double[]? Error { get; }

    /// <summary>e₀.</summary>
    public double StartError { get; }

    public int ErrorOrder { get; }

    /// <summary>γ₀.</summary>
    public double Filter { get; }

    /// <summary>
    /// The interpolant over the stages or, where it has one row more, over f at the step's start and the stages; null where the last stage
    /// is not the solution at the step's end, and f there must be evaluated for one.
    /// </summary>
    public ContinuousExtension? Extension { get; }

    /// <summary>Whether the last stage is the solution at the step's end.</summary>
    public bool IsStifflyAccurate { get; }

    /// <summary>Stages that must be solved for together. One each for diagonally implicit methods.</summary>
    public StageGroup[] Groups { get; }

    /// <summary>
    /// γ₀ as the matrix whose factors <see cref="NewtonSolver.Filter"/> needs: the same as that of stages with γ₀ on the diagonal.
    /// </summary>
    public StageMatrix FilterMatrix { get; }

    public int Stages => B.Length;

    /// <summary>
    /// The integrals, in units of the step, of the Lagrange polynomials over the nodes from the step's end to a distance behind it: how far
    /// the solution's collocation polynomial moves on there.
    /// </summary>
    public void ExtrapolationWeights(double distance, Span<double> weights)
    {
        double[][] polynomials = _lagrange.Value;
        weights.Clear();
        for (int power = 0; power < Stages; power++)
        {
            double integral = (Math.Pow(1 + distance, power + 1) - 1) / (power + 1);
            for (int j = 0; j < Stages; j++)
                weights[j] += polynomials[j][power] * integral;
        }
    }

    /// <summary>The coefficients of the Lagrange polynomials over the nodes, lowest power first.</summary>
    private double[][] Lagrange()
    {
        var polynomials = new double[Stages][];
        for (int j = 0; j < polynomials.Length; j++)
        {
            polynomials[j] = [1];
            for (int i = 0; i < C.Length; i++)
                if (i != j)
                    polynomials[j] = Multiply(polynomials[j], -C[i] / (C[j] - C[i]), 1 / (C[j] - C[i]));
        }
        return polynomials;
    }

    /// <summary>The cubic through both ends with both derivatives, of which the last stage is one.</summary>
    private ContinuousExtension Cubic(int order)
    {
        int start = A[0][0] == 0 ? 0 : 1;
        double[][] polynomials = [.. new double[start][], .. B.Select(weight => new[] { 0, 3 * weight, -2 * weight })];
        polynomials[0] = start == 1 ? [1, -2, 1] : [1, 3 * B[0] - 2, 1 - 2 * B[0]];
        double last = B[^1];
        polynomials[^1] = [0, 3 * last - 1, 1 - 2 * last];
        return new(order, polynomials);
    }

    private static double[] Multiply(double[] polynomial, double constant, double slope)
    {
        var product = new double[polynomial.Length + 1];
        for (int power = 0; power < polynomial.Length; power++)
        {
            product[power] += constant * polynomial[power];
            product[power + 1] += slope * polynomial[power];
        }
        return product;
    }

    private StageMatrix MatrixOf(double[][] rows)
    {
        StageMatrix? known = _matrices.Find(matrix => matrix.Equals(rows));
        if (known is null)
            _matrices.Add(known = new StageMatrix(rows));
        return known;
    }

    private IEnumerable<StageGroup> FindGroups(double[][] a)
    {
        int first = 0;
        int last = 0;
        for (int i = 0; i < a.Length; i++)
        {
            last = Math.Max(last, Array.FindLastIndex(a[i], value => value != 0));
            if (last > i)
                continue;
            yield return new StageGroup(first, MatrixOf([.. a[first..(i + 1)].Select(row => row[first..(i + 1)])]));
            first = i + 1;
            last = first;
        }
    }
}
