using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// What the accepted steps of an explicit Runge–Kutta method cost beside their loss: the squares of their error estimates and of their
/// estimates of stiffness, added up over the steps (A. Pal, Y. Ma, V. Shah, C. Rackauckas, Opening the Blackbox: Accelerating Neural
/// Differential Equations by Regularizing Internal Solver Heuristics, 2021). Step sizes and tolerances count as constants.
/// </summary>
/// <remarks>
/// With e = h Σ d_i k_i the error, in units of the tolerances r = e / (atol + rtol |y|), and with the difference m of the solution and of
/// the last stage's input, n that of f there: r² of each component, and (h ‖n‖)² / (‖m‖² + ε) of each row, an estimate of (h |λ|)². ε is
/// a tenth of the tolerances, squared: smaller differences are rounding.
/// </remarks>
internal sealed class StepPenalty
{
    private const double SmallDifference = 0.1;

    private readonly ButcherTableau _tableau;
    private readonly OdeSolverOptions _options;
    private readonly double _errorWeight, _stiffnessWeight;
    private readonly double[] _difference = [];
    private readonly double[] _change = [];

    public StepPenalty(ButcherTableau tableau, OdeSolverOptions options, double errorWeight, double stiffnessWeight)
    {
        _tableau = tableau;
        _options = options;
        _errorWeight = errorWeight;
        _stiffnessWeight = stiffnessWeight;
        if (stiffnessWeight == 0)
            return;
        double[] row = tableau.A[tableau.LastStageAtEnd];
        _difference = [.. tableau.B.Select((b, j) => b - (j < row.Length ? row[j] : 0))];
        _change = new double[tableau.Stages];
        _change[^1] = 1;
        _change[tableau.LastStageAtEnd] = -1;
    }

    /// <summary>Whether a method's steps tell their error.</summary>
    public static bool KnowsError(OdeMethod method) => method.ExplicitTableau?.Error is not null;

    /// <summary>Whether a method's steps tell how stiff the equation is: two of its stages lie at the step's end.</summary>
    public static bool KnowsStiffness(OdeMethod method) => method.ExplicitTableau is { LastStageAtEnd: > 0, IsFirstSameAsLast: true };

    /// <summary>What a step adds, component by component, in the shape of the state.</summary>
    /// <param name="span">The step.</param>
    /// <param name="state">The state at its start.</param>
    /// <param name="next">The state at its end.</param>
    /// <param name="k">Its stages.</param>
    public Tensor Of(StepSpan span, Tensor state, Tensor next, ReadOnlySpan<Tensor> k)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor? sum = null;
        if (_errorWeight != 0)
            sum = Ratio(Combine(span, _tableau.Error!, k), state, next).Squared().Times(_errorWeight);
        if (_stiffnessWeight != 0)
        {
            (Tensor n, Tensor m, Tensor size) = Differences(span, state, next, k);
            Tensor stiffness = (Rows(n).Squared().sum([1L], keepdim: true) / size).Times(_stiffnessWeight * Square(span));
            Tensor spread = stiffness.reshape([state.shape[0], .. state.shape[1..].Select(_ => 1L)]).expand_as(state);
            sum = sum is null ? spread : sum.Plus(spread);
        }
        return sum!.contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The gradient of what a step adds, as parts and what the stages are weighted with in them, stage i: h Σ_parts w_i g. In the current
    /// scope.
    /// </summary>
    /// <param name="span">The step.</param>
    /// <param name="state">The state at its start.</param>
    /// <param name="next">The state at its end.</param>
    /// <param name="k">Its stages.</param>
    /// <param name="gradient">The gradient of the sum, in the shape of the state.</param>
    public IEnumerable<(Tensor Part, double[] Weights)> Cotangents(
        StepSpan span, Tensor state, Tensor next, Tensor[] k, Tensor gradient)
    {
        if (_errorWeight != 0)
        {
            Tensor ratio = Ratio(Combine(span, _tableau.Error!, k), state, next);
            yield return (Ratio((gradient * ratio).Times(2 * _errorWeight), state, next).contiguous(), _tableau.Error!);
        }
        if (_stiffnessWeight == 0)
            yield break;
        (Tensor n, Tensor m, Tensor size) = Differences(span, state, next, k);
        Tensor share = Rows(gradient).sum([1L], keepdim: true) / size;
        double factor = 2 * _stiffnessWeight * Square(span);
        Tensor ofChange = (share * Rows(n)).Times(factor).reshape(state.shape).contiguous();
        double h = span.Size[0];
        yield return (ofChange, Array.ConvertAll(_change, weight => weight / h));
        Tensor quotient = Rows(n).Squared().sum([1L], keepdim: true) / size;
        yield return ((share * quotient * Rows(m)).Times(-factor).reshape(state.shape).contiguous(), _difference);
    }

    private Tensor Ratio(Tensor error, Tensor state, Tensor next) => StateArithmetic.Ratio(error, state.detach(), next.detach(), _options);

    private static double Square(StepSpan span) => span.Size[0] * span.Size[0];

    private static Tensor Rows(Tensor state) => state.reshape(state.shape[0], -1);

    private static Tensor Combine(StepSpan? span, double[] weights, ReadOnlySpan<Tensor> k)
    {
        using var arithmetic = new TensorArithmetic(1);
        return arithmetic.Combine(null, span, weights, k);
    }

    /// <summary>n, m, and ‖m‖² + ε of each row, <c>[rows, 1]</c>.</summary>
    private (Tensor N, Tensor M, Tensor Size) Differences(StepSpan span, Tensor state, Tensor next, ReadOnlySpan<Tensor> k)
    {
        Tensor n = Combine(null, _change, k), m = Combine(span, _difference, k);
        // 1 over the ratio of 1 is the tolerance.
        Tensor tolerance = Rows(Ratio(ones_like(state), state, next)).reciprocal().Times(SmallDifference);
        return (n, m, Rows(m).Squared().sum([1L], keepdim: true).Plus(tolerance.Squared().sum([1L], keepdim: true)));
    }
}
