namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>The right-hand side f(t, y) as the methods call it: counted, checked, and with results that belong to the caller.</summary>
internal sealed class RightHandSide : IDisposable
{
    private readonly VectorField _whole;
    private readonly SolverStatistics _statistics;
    private readonly bool _recordsGraph;
    private VectorField _equation;
    private IAnalyticDynamics? _analytic;
    private DynamicsEvaluator? _evaluator;

    /// <param name="equation">f(t, y).</param>
    /// <param name="statistics">Where evaluations are counted.</param>
    /// <param name="recordsGraph">Whether derivatives are to flow through the evaluations.</param>
    public RightHandSide(VectorField equation, SolverStatistics statistics, bool recordsGraph = true)
    {
        _whole = _equation = equation;
        _statistics = statistics;
        _recordsGraph = recordsGraph;
        _analytic = recordsGraph ? null : equation.Analytic;
    }

    /// <summary>Why positions and velocities of the state cannot be updated in turn; null where nothing is known against it.</summary>
    public string? WhyNotLeapfrog => (_whole.Module as ISecondOrderSystem)?.WhyNotLeapfrog;

    /// <summary>From now on states have these rows of the batch; null for all.</summary>
    public void Keep(int[]? rows)
    {
        VectorField equation = _whole.OfRows(rows);
        if (ReferenceEquals(equation, _equation))
            return;
        _equation = equation;
        _evaluator?.Dispose();
        _evaluator = null;
        _analytic = _recordsGraph ? null : equation.Analytic;
    }

    /// <summary>
    /// Evaluates f. The result has the state's shape, type and device, is contiguous, shares no memory with the state and belongs to the
    /// caller.
    /// </summary>
    public Tensor Evaluate(Tensor time, Tensor state)
    {
        Count(state);
        return Own(_equation, time, state);
    }

    /// <summary>
    /// The same without a graph, with times as numbers (one a lane) and in memory of the arithmetic: the caller gives the result back to
    /// it. False where the right-hand side has no evaluator of its own.
    /// </summary>
    public bool TryEvaluate(double[] times, Tensor state, StateArithmetic arithmetic, out Tensor derivative)
    {
        derivative = null!;
        if (_analytic is null)
            return false;
        _evaluator ??= _analytic.CreateEvaluator(state);
        if (_evaluator is null)
        {
            _analytic = null;
            return false;
        }
        Count(state);
        derivative = arithmetic.Rent(state);
        _evaluator.Evaluate(times, state, derivative);
        return true;
    }

    public void Dispose() => _evaluator?.Dispose();

    /// <summary>Evaluates f and makes its result the caller's.</summary>
    /// <param name="equation">f(t, y).</param>
    /// <param name="time">t.</param>
    /// <param name="state">y.</param>
    /// <param name="made">Is shown the scope of the tensors that f made; null for no one.</param>
    public static Tensor Own(VectorField equation, Tensor time, Tensor state, Action<DisposeScope>? made = null)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor result = equation.Evaluate(time, state);
        made?.Invoke(scope);
        if (!result.is_contiguous())
            result = result.contiguous();
        else if (!scope.Contains(result))
            // f's own tensor (a constant, a parameter, the state itself): we must not dispose of it nor see it change.
            result = result.clone();
        else if (ReferenceEquals(result, state) || SharesMemory(result, state))
            result = result.clone();
        return result.DetachFromDisposeScope();
    }

    /// <summary>
    /// Whether two tensors overlap, as far as that matters: only the memory that the fused kernels work on is ever reused.
    /// </summary>
    internal static bool SharesMemory(Tensor a, Tensor b) =>
        Kernels.StateKernels.Supports(a) && b.is_contiguous() && a.bytes.Overlaps(b.bytes);

    private void Count(Tensor state)
    {
        _statistics.FunctionEvaluations++;
        _statistics.RowEvaluations += state.dim() == 0 ? 1 : state.size(0);
    }

    /// <exception cref="InvalidOperationException">A derivative differs from the state in shape, type or device.</exception>
    internal static void Check(Tensor result, Tensor state)
    {
        if (result.dtype != state.dtype || result.device_type != state.device_type || result.device_index != state.device_index
            || !SameShape(result, state))
            throw new InvalidOperationException(
                $"The right-hand side returned {Describe(result)} for a state of {Describe(state)}; "
                + "dy/dt must have the state's shape, type and device.");
    }

    private static bool SameShape(Tensor a, Tensor b)
    {
        if (a.dim() != b.dim())
            return false;
        for (int i = 0; i < a.dim(); i++)
            if (a.size(i) != b.size(i))
                return false;
        return true;
    }

    internal static string Describe(Tensor tensor) =>
        $"shape [{string.Join(", ", tensor.shape)}], type {tensor.dtype}, device {tensor.device}";
}
