using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Solves the stage equations of implicit methods as <see cref="NewtonSolver"/> does: the same iteration in plain
/// memory.</summary>
internal sealed unsafe class NativeNewton
{
    private const int KnownFactors = 3;

    private readonly ImplicitTableau _tableau;
    private readonly NativeSystem _system;
    private readonly NewtonRules _rules;
    private readonly NativeNorm _norm;
    private readonly bool _boundsSpectrum;
    private readonly int _size;
    private readonly double* _jacobian;
    private readonly double* _jacobians;
    private readonly double* _bases;
    private readonly double* _slopes;
    private readonly double* _residual;
    private readonly double* _units;
    private readonly double* _better;
    private readonly (DenseFactors Factors, StageMatrix? Stages, double Step)[] _known;
    private readonly DenseFactors _exact;
    private int _knownCount;
    private bool _hasJacobian;
    private bool _isCurrent;
    private double _rate;

    public NativeNewton(ImplicitTableau tableau, NativeSystem system, bool boundsSpectrum)
    {
        _tableau = tableau;
        _system = system;
        _boundsSpectrum = boundsSpectrum;
        _size = system.Size;
        _rules = new NewtonRules(isControlled: tableau.Error is not null && system.Options.StepSize is null);
        _norm = _rules.IsControlled ? system.Norm : NativeNorm.OfRounding(_size);
        int width = tableau.Groups.Max(group => group.Count) * _size;
        Stages = system.Take(width);
        _jacobian = system.Take(_size * _size);
        _bases = system.Take(width);
        _slopes = system.Take(width);
        _residual = system.Take(width);
        _units = system.Take(width);
        _better = system.Take(width);
        _known = [.. Enumerable.Range(0, KnownFactors).Select(_ => (new DenseFactors(system, width), (StageMatrix?)null, 0.0))];
        _exact = _rules.IsControlled ? _known[0].Factors : new DenseFactors(system, width);
        _jacobians = _rules.IsControlled ? null : system.Take(width * _size);
    }

    /// <inheritdoc cref="NewtonSolver.SpectralBound"/>
    public double SpectralBound { get; private set; } = double.PositiveInfinity;

    /// <summary>The states at the stages of the group solved last.</summary>
    public double* Stages { get; }

    /// <inheritdoc cref="NewtonSolver.Moved"/>
    public void Moved()
    {
        _isCurrent = false;
        if (_rate > NewtonRules.FastRate)
            Forget();
        _rate = 0;
    }

    /// <inheritdoc cref="NewtonSolver.Forget"/>
    public void Forget() => (_hasJacobian, _knownCount) = (false, 0);

    /// <summary>Solves for a group of stages; writes their derivatives, and says whether the iteration converged.</summary>
    public bool Solve(in NativeSpan span, double* state, double* first, double** k, StageGroup group, NativePredictor? predictor)
    {
        (int start, int count) = group;
        for (int i = 0; i < count; i++)
            StateKernels.Combine(_bases + i * _size, state, span.Size, _tableau.A[start + i].AsSpan(0, start), k, _size);
        double* slope = start > 0 ? k[start - 1] : first;
        Guess(span, state, first, slope, group, predictor);
        bool solved = Iterate(span, state, group);
        if (!solved && !_isCurrent)
        {
            Forget();
            Guess(span, state, first, slope, group, predictor);
            solved = Iterate(span, state, group);
        }
        if (!solved && !_rules.IsControlled)
        {
            Guess(span, state, first, slope, group, predictor);
            solved = IterateExactly(span, state, group);
        }
        Derivatives(span.Size, k + start, group);
        return solved;
    }

    /// <summary>(I − h γ₀ J)⁻¹ e, in place.</summary>
    public void Filter(in NativeSpan span, double* error) => Factors(span.Size, _tableau.FilterMatrix).Solve(error);

    private void Guess(in NativeSpan span, double* state, double* first, double* slope, StageGroup group, NativePredictor? predictor)
    {
        if (predictor is not null)
        {
            predictor.Predict(span, state, first, Stages);
            return;
        }
        (int start, int count) = group;
        for (int i = 0; i < count; i++)
        {
            double sum = 0;
            foreach (double a in _tableau.A[start + i].AsSpan(start, count))
                sum += a;
            for (int c = 0; c < _size; c++)
                Stages[i * _size + c] = _bases[i * _size + c] + span.Size * slope[c] * sum;
        }
    }

    /// <summary>Improves the stages in place; says whether they converged.</summary>
    private bool Iterate(in NativeSpan span, double* state, StageGroup group)
    {
        RequireJacobian(span, state);
        DenseFactors factors = Factors(span.Size, group.Matrix);
        int width = group.Count * _size;
        double before = double.NaN, rounding = -1;
        for (int iteration = 0; iteration < _rules.MaximumIterations; iteration++)
        {
            Residual(span, Stages, group);
            factors.Solve(_residual);
            double norm = Norm(state, _residual, group.Count);
            for (int i = 0; i < width; i++)
                Stages[i] -= _residual[i];
            bool isOpen = IsOpen(norm, before, rounding);
            if (_rules.IsControlled && iteration > 0 && rounding < 0 && isOpen)
            {
                rounding = Rounding(state, group.Count);
                isOpen = IsOpen(norm, before, rounding);
            }
            if (!isOpen)
                return true;
            if (double.IsInfinity(norm) || (iteration > 1 && _rules.IsSlow(norm, before)))
                return false;
            before = norm;
        }
        return false;
    }

    /// <inheritdoc cref="NewtonSolver.IterateExactly"/>
    private bool IterateExactly(in NativeSpan span, double* state, StageGroup group)
    {
        int count = group.Count, width = count * _size;
        double before = double.NaN;
        for (int iteration = 0; iteration < _rules.MaximumIterations; iteration++)
        {
            for (int j = 0; j < count; j++)
                _system.EvaluateJacobian(
                    span, _tableau.C[group.First + j], Stages + j * _size, _jacobians + j * _size * _size);
            WriteMatrix(_exact.Matrix, span.Size, group.Matrix.Rows, _jacobians, _size * _size);
            Factorize(_exact, width);
            Residual(span, Stages, group);
            double square = Square(_residual, width);
            double* correction = _units;
            NativeSystem.Copy(_residual, correction, width);
            _exact.Solve(correction);
            double norm = Norm(state, correction, count);
            bool isOpen = IsOpen(norm, before, -1);
            if (double.IsInfinity(norm))
                return false;
            double part = 1;
            Move(correction, part, width);
            for (int halving = 0; halving < NewtonRules.Halvings && norm > 20 * _rules.Enough; halving++)
            {
                Residual(span, _better, group);
                if (Square(_residual, width) < square || square == 0)
                    break;
                Move(correction, part *= 0.5, width);
            }
            NativeSystem.Copy(_better, Stages, width);
            if (!isOpen)
                return true;
            before = norm;
        }
        return false;
    }

    private void Move(double* correction, double part, int width)
    {
        for (int i = 0; i < width; i++)
            _better[i] = Stages[i] - correction[i] * part;
    }

    private static double Square(double* vector, int width)
    {
        double sum = 0;
        for (int i = 0; i < width; i++)
            sum += vector[i] * vector[i];
        return sum;
    }

    private bool IsOpen(double norm, double before, double rounding)
    {
        if (norm <= rounding)
            return false;
        _rate = Math.Max(_rate, _rules.Rate(norm, before));
        return _rules.IsOpen(norm, before);
    }

    /// <summary>The largest size of the stages' corrections; infinity for NaN.</summary>
    private double Norm(double* state, double* corrections, int count)
    {
        double norm = 0;
        for (int i = 0; i < count; i++)
        {
            double size = _norm.Of(state, Stages + i * _size, corrections + i * _size);
            norm = Math.Max(norm, double.IsNaN(size) ? double.PositiveInfinity : size);
        }
        return norm;
    }

    /// <summary>The size of corrections that are rounding.</summary>
    private double Rounding(double* state, int count)
    {
        for (int i = 0; i < count * _size; i++)
            _units[i] = Stages[i] * (NewtonRules.RoundingUnits * Math.ScaleB(1, -52));
        return Norm(state, _units, count);
    }

    /// <summary>F_i = Y_i − base_i − h Σ_j a_ij f(t_j, Y_j).</summary>
    private void Residual(in NativeSpan span, double* stages, StageGroup group)
    {
        (int start, int count) = group;
        for (int j = 0; j < count; j++)
            _system.Evaluate(span, _tableau.C[start + j], stages + j * _size, _slopes + j * _size);
        double h = span.Size;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> a = _tableau.A[start + i].AsSpan(start, count);
            for (int c = 0; c < _size; c++)
            {
                double sum = 0;
                for (int j = 0; j < a.Length; j++)
                    sum += a[j] * _slopes[j * _size + c];
                int place = i * _size + c;
                _residual[place] = stages[place] - _bases[place] - h * sum;
            }
        }
    }

    /// <summary>k = A⁻¹ (Y − base) / h: that does not amplify what is left of the residual, as f(Y) would.</summary>
    private void Derivatives(double h, double** k, StageGroup group)
    {
        int count = group.Count;
        ReadOnlySpan<double> inverse = group.Matrix.Inverse;
        for (int i = 0; i < count; i++)
            for (int c = 0; c < _size; c++)
            {
                double sum = 0;
                for (int j = 0; j < count; j++)
                    sum += (Stages[j * _size + c] - _bases[j * _size + c]) / h * inverse[i * count + j];
                k[i][c] = sum;
            }
    }

    private void RequireJacobian(in NativeSpan span, double* state)
    {
        if (_hasJacobian)
            return;
        _knownCount = 0;
        _system.EvaluateJacobian(span, 0, state, _jacobian);
        _hasJacobian = _isCurrent = true;
        if (_boundsSpectrum)
            SpectralBound = Bound();
    }

    private double Bound()
    {
        double rows = 0, columns = 0;
        for (int i = 0; i < _size; i++)
        {
            double row = 0, column = 0;
            for (int j = 0; j < _size; j++)
            {
                row += Math.Abs(_jacobian[i * _size + j]);
                column += Math.Abs(_jacobian[j * _size + i]);
            }
            (rows, columns) = (Math.Max(rows, row), Math.Max(columns, column));
        }
        return Math.Min(rows, columns);
    }

    private DenseFactors Factors(double step, StageMatrix stages)
    {
        for (int i = 0; i < _knownCount; i++)
            if (_known[i].Stages == stages && _known[i].Step == step)
                return _known[i].Factors;
        // Another step size needs other factors; those of the last one are not needed again.
        if (_knownCount == KnownFactors)
            _knownCount = 0;
        DenseFactors factors = _known[_knownCount].Factors;
        WriteMatrix(factors.Matrix, step, stages.Rows, _jacobian, 0);
        Factorize(factors, stages.Rows.Length * _size);
        _known[_knownCount++] = (factors, stages, step);
        return factors;
    }

    private void Factorize(DenseFactors factors, int width)
    {
        _system.Statistics.Factorizations++;
        factors.Factorize(width);
    }

    /// <summary>I − h (a_ij J_j) in blocks.</summary>
    private void WriteMatrix(double* target, double h, double[][] block, double* jacobians, int stride)
    {
        int width = block.Length * _size;
        for (int i = 0; i < block.Length; i++)
            for (int j = 0; j < block.Length; j++)
            {
                double factor = h * block[i][j];
                double* jacobian = jacobians + j * stride;
                for (int r = 0; r < _size; r++)
                    for (int c = 0; c < _size; c++)
                        target[(i * _size + r) * width + j * _size + c] = (i == j && r == c ? 1 : 0) - factor * jacobian[r * _size + c];
            }
    }
}
