using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Solves the stage equations of implicit methods by a simplified Newton iteration, row by row in one batch: the Jacobian is that at the
/// step's start, or an earlier one as long as the iteration converges fast with it; factorisations are reused between stages with the same
/// diagonal.
/// </summary>
/// <remarks>
/// Where a graph is wanted, the equations are solved without it, and one more iteration with the exact matrix becomes part of it: by the
/// implicit function theorem that gives the stages their exact first derivatives.
/// </remarks>
internal sealed class NewtonSolver
{
    private readonly ImplicitTableau _tableau;
    private readonly StepperContext _context;
    private readonly OdeSolverOptions _tolerances;
    private readonly NewtonRules _rules;
    private readonly List<KnownFactors> _factors = [];
    private Tensor? _jacobian;
    private bool _isCurrent;
    private double _rate;

    public NewtonSolver(ImplicitTableau tableau, StepperContext context)
    {
        _tableau = tableau;
        _context = context;
        bool isControlled = tableau.Error is not null && context.Options.StepSize is null;
        _rules = new NewtonRules(isControlled);
        _tolerances = context.Options;
        if (!isControlled)
            _tolerances = context.Options with { RelativeTolerances = null, AbsoluteTolerances = null, Norm = ErrorNorm.Rms };
    }

    /// <summary>
    /// A bound on the absolute eigenvalues of the Jacobian that was used last: the smaller of its row-sum and column-sum norms.
    /// </summary>
    public double SpectralBound { get; private set; } = double.PositiveInfinity;

    private bool IsControlled => _rules.IsControlled;

    /// <summary>The solved stages: their derivatives, the last stage's state, and the lanes in which the iteration failed.</summary>
    internal readonly record struct Result(Tensor[] Derivatives, Tensor LastStage, bool[]? Failed);

    /// <summary>The step was accepted: the Jacobian belongs to an earlier point now.</summary>
    public void Moved()
    {
        _isCurrent = false;
        // Where rows have their own steps, how well a Jacobian serves one row must not decide for another.
        if (_rate > NewtonRules.FastRate || _context.Options.PerRow)
            Forget();
        _rate = 0;
    }

    /// <summary>Drops what belongs to other points or lanes.</summary>
    public void Forget()
    {
        ForgetFactors();
        _jacobian?.Dispose();
        _jacobian = null;
    }

    public Result Solve(StepSpan span, Tensor state, Tensor first, Tensor[] k, StageGroup group, StagePredictor? predictor)
    {
        if (state.numel() == 0)
            return Nothing(state, group.Count);
        using DisposeScope scope = NewDisposeScope();
        (int start, int count) = group;
        bool withGraph = is_grad_enabled() && _context.Arithmetic is TensorArithmetic;
        var bases = new Tensor[count];
        for (int i = 0; i < count; i++)
            bases[i] = Base(span, state, k, start + i, start);
        Tensor[] stages;
        bool[]? failed;
        using (IDisposable noGrad = no_grad())
        {
            stages = Guess();
            failed = Iterate(span, state, bases, stages, group);
            if (failed is not null && !_isCurrent)
            {
                Forget();
                stages = Guess();
                failed = Iterate(span, state, bases, stages, group);
            }
            if (failed is not null && !IsControlled)
            {
                stages = Guess();
                failed = IterateExactly(span, state, bases, stages, group);
            }
        }
        if (withGraph)
            stages = Correct(span, bases, stages, group);
        Tensor[] derivatives = Derivatives(span, bases, stages, group);
        var result = new Result(
            Array.ConvertAll(derivatives, d => d.contiguous().DetachFromDisposeScope()),
            stages[^1].contiguous().DetachFromDisposeScope(), failed);
        foreach (Tensor b in bases)
            _context.Arithmetic.Release(b);
        return result;

        Tensor[] Guess() => predictor?.Predict(span, state, first) ?? Tangent(span, bases, start > 0 ? k[start - 1] : first, group);
    }

    /// <summary>(I − h γ₀ J)⁻¹ e.</summary>
    public Tensor Filter(StepSpan span, Tensor error)
    {
        if (error.numel() == 0)
            return error.clone().DetachFromDisposeScope();
        using DisposeScope scope = NewDisposeScope();
        long rows = JacobianEvaluator.Rows(error);
        (Tensor factors, Tensor pivots) = Factors(span, _tableau.FilterMatrix, CurrentJacobian(span, null));
        return linalg.lu_solve(factors, pivots, error.reshape(rows, -1, 1)).reshape(error.shape).contiguous().DetachFromDisposeScope();
    }

    private Tensor Base(StepSpan span, Tensor state, Tensor[] k, int stage, int known) =>
        known == 0
            ? _context.Arithmetic.Copy(state)
            : _context.Arithmetic.Combine(state, span, _tableau.A[stage].AsSpan(0, known), k.AsSpan(0, known));

    private Tensor[] Tangent(StepSpan span, Tensor[] bases, Tensor slope, StageGroup group)
    {
        (int start, int count) = group;
        Tensor h = Sizes(span, slope);
        return [.. Enumerable.Range(0, count)
            .Select(i => bases[i].detach().Plus(h * slope.detach().Times(_tableau.A[start + i].Skip(start).Take(count).Sum())))];
    }

    /// <summary>The stages of a state without elements.</summary>
    private static Result Nothing(Tensor state, int count) =>
        new([.. Enumerable.Range(0, count).Select(_ => zeros_like(state).DetachFromDisposeScope())],
            state.clone().DetachFromDisposeScope(), null);

    /// <summary>Improves the stages in place; says which lanes did not converge, or null.</summary>
    private bool[]? Iterate(StepSpan span, Tensor state, Tensor[] bases, Tensor[] stages, StageGroup group)
    {
        (Tensor factors, Tensor pivots) = Factors(span, group.Matrix, CurrentJacobian(span, state));
        int count = group.Count;
        double[]? before = null;
        double[]? rounding = null;
        bool[] open = [];
        bool freezes = _context.Options.PerRow;
        for (int iteration = 0; iteration < _rules.MaximumIterations; iteration++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor residual = Residual(span, bases, stages, group);
            Tensor correction = linalg.lu_solve(factors, pivots, residual.unsqueeze(-1)).squeeze(-1);
            Tensor[] parts = Split(correction, state, count);
            double[] norms = Norms(state, stages, parts);
            for (int i = 0; i < count; i++)
            {
                Tensor part = parts[i];
                // A row that has converged stays as it is, so that it does not matter how long its neighbours take.
                Tensor change = freezes && before is not null ? part * Lanes(open, part) : part;
                Tensor better = (stages[i] - change).MoveToOuterDisposeScope();
                stages[i].Dispose();
                stages[i] = better;
            }
            bool[] stillOpen = Open(norms, before, rounding);
            if (IsControlled && iteration > 0 && rounding is null && Array.Exists(stillOpen, o => o))
            {
                // Tolerances near rounding ask for corrections that never come.
                Tensor[] units = Array.ConvertAll(stages, stage => stage.Times(NewtonRules.RoundingUnits * Epsilon(stage)));
                rounding = Norms(state, stages, units);
                stillOpen = Open(norms, before, rounding);
            }
            open = freezes && before is not null ? [.. open.Zip(stillOpen, (was, still) => was && still)] : stillOpen;
            if (!Array.Exists(open, o => o))
                return null;
            if (Array.Exists(norms, double.IsInfinity) || (iteration > 1 && IsSlow(norms, before!, open)))
                return open;
            before = norms;
        }
        return open;
    }

    /// <summary>Lanes whose iteration has not converged: the last correction times θ / (1 − θ) bounds what is left.</summary>
    /// <param name="norms">The sizes of the last corrections, lane by lane.</param>
    /// <param name="before">Those of the corrections before; null for none.</param>
    /// <param name="rounding">The sizes that rounding has; null where they are not known to matter.</param>
    private bool[] Open(double[] norms, double[]? before, double[]? rounding)
    {
        var open = new bool[norms.Length];
        for (int lane = 0; lane < norms.Length; lane++)
        {
            if (rounding is not null && norms[lane] <= rounding[lane])
                continue;
            double last = before is null ? double.NaN : before[lane];
            _rate = Math.Max(_rate, _rules.Rate(norms[lane], last));
            open[lane] = _rules.IsOpen(norms[lane], last);
        }
        return open;
    }

    /// <summary>Whether, without error control, an open lane's iteration diverges or would take long.</summary>
    private bool IsSlow(double[] norms, double[] before, bool[] open)
    {
        for (int lane = 0; lane < norms.Length; lane++)
            if (open[lane] && _rules.IsSlow(norms[lane], before[lane]))
                return true;
        return false;
    }

    /// <summary>
    /// Improves the stages in place with the Jacobians at the stages themselves, by steps that are shortened, row by row, until the
    /// residual shrinks: for equations on which the simplified iteration is slow or diverges. Says which lanes did not converge, or null.
    /// </summary>
    private bool[]? IterateExactly(StepSpan span, Tensor state, Tensor[] bases, Tensor[] stages, StageGroup group)
    {
        int count = group.Count;
        double[]? before = null;
        bool[] open = [];
        for (int iteration = 0; iteration < _rules.MaximumIterations; iteration++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor residual = Residual(span, bases, stages, group);
            (Tensor factors, Tensor pivots) = Factorize(ExactMatrix(span, stages, group));
            Tensor correction = linalg.lu_solve(factors, pivots, residual.unsqueeze(-1)).squeeze(-1);
            double[] norms = Norms(state, stages, Split(correction, state, count));
            open = Open(norms, before, null);
            if (Array.Exists(norms, double.IsInfinity))
                return open;
            Tensor size = residual.Squared().sum(1, keepdim: true);
            Tensor part = ones_like(size);
            Tensor[] better = Moved(part);
            for (int halving = 0; halving < NewtonRules.Halvings && Array.Exists(norms, norm => norm > 20 * _rules.Enough); halving++)
            {
                Tensor worse = Residual(span, bases, better, group)
                    .Squared().sum(1, keepdim: true).lt(size).logical_not() & size.gt(Numbers.Zero);
                if (!worse.any().item<bool>())
                    break;
                part = where(worse, part.Times(0.5), part);
                better = Moved(part);
            }
            for (int i = 0; i < count; i++)
            {
                stages[i].Dispose();
                stages[i] = better[i].MoveToOuterDisposeScope();
            }
            if (!Array.Exists(open, o => o))
                return null;
            before = norms;

            Tensor[] Moved(Tensor by) => [.. Split(correction * by, state, count).Select((change, i) => stages[i] - change)];
        }
        return open;
    }

    /// <summary>A correction of all stages as one of each, in the state's shape.</summary>
    private static Tensor[] Split(Tensor correction, Tensor state, int count)
    {
        long width = correction.shape[1] / count;
        return [.. Enumerable.Range(0, count).Select(i => correction.narrow(1, i * width, width).reshape(state.shape).contiguous())];
    }

    /// <summary>The largest size of the stages' corrections, lane by lane; infinity for NaN.</summary>
    private double[] Norms(Tensor state, Tensor[] stages, Tensor[] corrections)
    {
        var norms = new double[_context.Arithmetic.Lanes];
        for (int i = 0; i < stages.Length; i++)
        {
            double[] size = Sizes(state, stages[i], corrections[i]);
            for (int lane = 0; lane < norms.Length; lane++)
                norms[lane] = Math.Max(norms[lane], double.IsNaN(size[lane]) ? double.PositiveInfinity : size[lane]);
        }
        return norms;
    }

    private static double Epsilon(Tensor state) => state.dtype == ScalarType.Float64 ? Math.ScaleB(1, -52) : Math.ScaleB(1, -23);

    /// <summary>The size of a correction in units of what is allowed: of the tolerances, or of rounding.</summary>
    private double[] Sizes(Tensor state, Tensor stage, Tensor correction)
    {
        if (IsControlled)
            return _context.Arithmetic.ScaledError(state, stage, null, [1], [correction], _tolerances);
        double rounding = state.dtype == ScalarType.Float64 ? 1e-13 : 1e-6;
        return _context.Arithmetic.ScaledError(
            state, stage, null, [1], [correction], _tolerances with { RelativeTolerance = rounding, AbsoluteTolerance = rounding });
    }

    /// <summary>One Newton iteration in the graph, with the Jacobians at the stages themselves.</summary>
    private Tensor[] Correct(StepSpan span, Tensor[] bases, Tensor[] stages, StageGroup group)
    {
        long rows = JacobianEvaluator.Rows(stages[0]);
        int count = group.Count;
        Tensor[] fixedStages = Array.ConvertAll(stages, stage => stage.detach());
        Tensor matrix = ExactMatrix(span, fixedStages, group);
        Tensor residual = Residual(span, bases, fixedStages, group);
        Tensor correction = linalg.solve(matrix, residual.unsqueeze(-1)).reshape(rows, count, -1);
        return [.. fixedStages.Select((stage, i) => stage - correction.select(1, i).reshape(stage.shape))];
    }

    /// <summary>The matrix of the stages' equations with the Jacobians at the stages themselves; without a graph.</summary>
    private Tensor ExactMatrix(StepSpan span, Tensor[] stages, StageGroup group)
    {
        (int start, int count) = group;
        var jacobians = new Tensor[count];
        for (int j = 0; j < count; j++)
        {
            using Tensor time = _context.Clock.Tensor(span, _tableau.C[start + j]);
            jacobians[j] = JacobianEvaluator.Evaluate(_context, time.detach(), stages[j]);
        }
        using IDisposable noGrad = no_grad();
        Tensor matrix = Matrix(span, group.Matrix.Rows, j => jacobians[j]);
        foreach (Tensor jacobian in jacobians)
            jacobian.Dispose();
        return matrix;
    }

    /// <summary>F_i = Y_i − base_i − h Σ_j a_ij f(t_j, Y_j), flattened to <c>[rows, stages · n]</c>.</summary>
    private Tensor Residual(StepSpan span, Tensor[] bases, Tensor[] stages, StageGroup group)
    {
        (int start, int count) = group;
        long rows = JacobianEvaluator.Rows(stages[0]);
        Tensor h = Sizes(span, stages[0]);
        var slopes = new Tensor[count];
        for (int j = 0; j < count; j++)
            slopes[j] = _context.Evaluate(span, _tableau.C[start + j], stages[j]);
        var residuals = new Tensor[count];
        for (int i = 0; i < count; i++)
        {
            Tensor sum = slopes[0].Times(_tableau.A[start + i][start]);
            for (int j = 1; j < count; j++)
                sum = sum.Plus(slopes[j].Times(_tableau.A[start + i][start + j]));
            residuals[i] = (stages[i] - bases[i] - h * sum).reshape(rows, -1);
        }
        foreach (Tensor slope in slopes)
            _context.Arithmetic.Release(slope);
        return cat(residuals, 1);
    }

    /// <summary>k = A⁻¹ (Y − base) / h: that does not amplify what is left of the residual, as f(Y) would.</summary>
    private Tensor[] Derivatives(StepSpan span, Tensor[] bases, Tensor[] stages, StageGroup group)
    {
        (int start, int count) = group;
        Tensor h = Sizes(span, stages[0]);
        // A lane that stands still, while others make their step again, has moved by nothing.
        if (Array.IndexOf(span.Size, 0) >= 0)
            h = where(h.eq(Numbers.Zero), ones_like(h), h);
        Tensor[] moved = [.. stages.Select((stage, i) => (stage - bases[i]) / h)];
        if (count == 1)
            return [moved[0].Over(_tableau.A[start][start])];
        double[] inverse = group.Matrix.Inverse;
        return [.. Enumerable.Range(0, count).Select(i =>
            Enumerable.Range(0, count).Select(j => moved[j].Times(inverse[i * count + j])).Aggregate((a, b) => a.Plus(b)))];
    }

    private Tensor CurrentJacobian(StepSpan span, Tensor? state)
    {
        if (_jacobian is not null)
            return _jacobian;
        ForgetFactors();
        using Tensor time = _context.Clock.Tensor(span.Start);
        _jacobian = JacobianEvaluator.Evaluate(_context, time.detach(), state!);
        _isCurrent = true;
        if (_context.Options.Method.SwitchesByStiffness)
            SpectralBound = Bound(_jacobian);
        return _jacobian;
    }

    private static double Bound(Tensor jacobian)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor sizes = jacobian.abs();
        return Math.Min(sizes.sum(1).max().ToDouble(), sizes.sum(2).max().ToDouble());
    }

    private (Tensor Factors, Tensor Pivots) Factors(StepSpan span, StageMatrix stages, Tensor jacobian)
    {
        foreach (KnownFactors known in _factors)
            if (known.Stages == stages && known.Sizes.AsSpan().SequenceEqual(span.Size))
                return (known.Factors, known.Pivots);
        // Another step size needs other factors; those of the last one are not needed again.
        if (_factors.Count > 2)
            ForgetFactors();
        using DisposeScope scope = NewDisposeScope();
        (Tensor factors, Tensor pivots) = Factorize(Matrix(span, stages.Rows, _ => jacobian));
        var made = new KnownFactors(stages, [.. span.Size], factors.DetachFromDisposeScope(), pivots.DetachFromDisposeScope());
        _factors.Add(made);
        return (made.Factors, made.Pivots);
    }

    /// <summary>
    /// The factors of a matrix; NaN where it is singular, with which the iteration fails at once.
    /// </summary>
    private (Tensor Factors, Tensor Pivots) Factorize(Tensor matrix)
    {
        _context.Statistics.Factorizations++;
        try
        {
            return Factors(matrix);
        }
        catch (ExternalException) when (matrix.isfinite().all().item<bool>())
        {
            using Tensor identity = eye(matrix.shape[1], dtype: matrix.dtype, device: matrix.device)!;
            (Tensor factors, Tensor pivots) = Factors(identity.expand(matrix.shape).clone());
            return (factors.Times(double.NaN), pivots);
        }

        static (Tensor Factors, Tensor Pivots) Factors(Tensor matrix)
        {
            (Tensor? factors, Tensor? pivots) = linalg.lu_factor(matrix);
            return (factors!, pivots!);
        }
    }

    /// <summary>I − h (a_ij J_j) in blocks, <c>[rows, stages · n, stages · n]</c>.</summary>
    private static Tensor Matrix(StepSpan span, double[][] block, Func<int, Tensor> jacobian)
    {
        Tensor first = jacobian(0);
        Tensor h = tensor(span.Size, [span.Size.Length, 1, 1], first.dtype, first.device);
        Tensor identity = eye(first.shape[1], dtype: first.dtype, device: first.device)!.unsqueeze(0);
        return cat([.. block.Select((row, i) =>
            cat([.. row.Select((a, j) => (i == j ? identity : zeros_like(identity)) - h.Times(a) * jacobian(j))], 2))], 1);
    }

    /// <summary>1 in the marked lanes, 0 in the others, to multiply a state with.</summary>
    private static Tensor Lanes(bool[] marked, Tensor state) =>
        tensor(marked, [marked.Length, .. Enumerable.Repeat(1L, (int)state.dim() - 1)], device: state.device).to(state.dtype);

    /// <summary>The step sizes, to multiply a state with; in the graph where times are.</summary>
    private static Tensor Sizes(StepSpan span, Tensor state)
    {
        Tensor sizes = span.TrackedSize ?? tensor(span.Size, state.dtype, state.device);
        if (span.Size.Length == 1 && state.dim() == 0)
            return sizes.reshape([]);
        var shape = new long[Math.Max(1, state.dim())];
        Array.Fill(shape, 1);
        shape[0] = span.Size.Length;
        return sizes.reshape(shape);
    }

    private void ForgetFactors()
    {
        foreach (KnownFactors known in _factors)
        {
            known.Factors.Dispose();
            known.Pivots.Dispose();
        }
        _factors.Clear();
    }

    /// <summary>The factors of I − h a ⊗ J for some stages, and for the step sizes of the lanes.</summary>
    private sealed record KnownFactors(StageMatrix Stages, double[] Sizes, Tensor Factors, Tensor Pivots);
}
