using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>
/// What a method needs to know of the solve it runs in: the right-hand side, counted, the memory, the tolerances. The counterpart of
/// <see cref="StepperContext"/>.
/// </summary>
internal sealed unsafe class NativeSystem
{
    private readonly OdeFunction _function;
    private readonly OdeJacobian? _jacobian;
    private readonly Jumps? _jumps;

    /// <summary>Keeps the blocks of memory alive.</summary>
    private readonly List<Scratch<double>> _memory = [];
    private readonly double* _moved;
    private readonly double* _there;
    private readonly double* _column;

    public NativeSystem(NativeProblem problem)
    {
        _function = problem.Function;
        _jacobian = problem.Jacobian;
        _jumps = Jumps.Create(problem.Options.Discontinuities, ScalarType.Float64);
        Size = problem.Size;
        Grid = problem.Grid;
        Options = problem.Options;
        Norm = new NativeNorm(Options, Size);
        _moved = Take(Size);
        _there = Take(Size);
        _column = Take(Size);
    }

    /// <summary>The number of components.</summary>
    public int Size { get; }

    public TimeGrid Grid { get; }

    public OdeSolverOptions Options { get; }

    public NativeNorm Norm { get; }

    public SolverStatistics Statistics { get; } = new();

    /// <summary>Memory for the whole solve, zeros at first.</summary>
    public double* Take(int count)
    {
        var block = new Scratch<double>(count);
        _memory.Add(block);
        return block.Start;
    }

    /// <summary>f at a time from which steps leave.</summary>
    public void EvaluateLeaving(double time, double* state, double* derivative) =>
        Evaluate(_jumps is null ? time : _jumps.Leaving(time, Grid.Direction), state, derivative);

    /// <summary>f at a fraction of a step.</summary>
    public void Evaluate(in NativeSpan span, double fraction, double* state, double* derivative) =>
        Evaluate(At(span, fraction), state, derivative);

    /// <summary>∂f/∂y at a fraction of a step, row after row.</summary>
    /// <param name="span">The step.</param>
    /// <param name="fraction">The place in it.</param>
    /// <param name="state">y.</param>
    /// <param name="jacobian">Gets n · n numbers.</param>
    public void EvaluateJacobian(in NativeSpan span, double fraction, double* state, double* jacobian)
    {
        Statistics.Jacobians++;
        double time = At(span, fraction);
        if (_jacobian is not null)
        {
            var target = new Span<double>(jacobian, Size * Size);
            target.Clear();
            _jacobian(time, new ReadOnlySpan<double>(state, Size), target);
            return;
        }
        Difference(time, state, jacobian);
    }

    public static void Copy(double* from, double* to, int count) =>
        new ReadOnlySpan<double>(from, count).CopyTo(new Span<double>(to, count));

    public bool IsFinite(double* state)
    {
        for (int i = 0; i < Size; i++)
            if (!double.IsFinite(state[i]))
                return false;
        return true;
    }

    private double At(in NativeSpan span, double fraction)
    {
        double time = fraction == 0 ? span.Start : fraction == 1 ? span.End : span.Start + fraction * span.Size;
        return _jumps is null ? time : _jumps.Inside(time, span.Start, span.End);
    }

    private void Evaluate(double time, double* state, double* derivative)
    {
        Statistics.FunctionEvaluations++;
        Statistics.RowEvaluations++;
        var target = new Span<double>(derivative, Size);
        // A component that f forgets to write does not keep an old number.
        target.Fill(double.NaN);
        _function(time, new ReadOnlySpan<double>(state, Size), target);
    }

    /// <summary>Forward differences, with the increments of RADAU5 (E. Hairer, G. Wanner).</summary>
    private void Difference(double time, double* state, double* jacobian)
    {
        const double Rounding = 2.220446049250313E-16, SmallState = 1e-5;
        Copy(state, _moved, Size);
        // The derivative that a stiff method carries along is f up to the error of its iteration: too far for differences.
        Evaluate(time, state, _there);
        for (int j = 0; j < Size; j++)
        {
            double kept = state[j];
            _moved[j] = kept + Math.Sqrt(Rounding * Math.Max(SmallState, Math.Abs(kept)));
            double increment = _moved[j] - kept;
            Evaluate(time, _moved, _column);
            for (int i = 0; i < Size; i++)
                jacobian[i * Size + j] = (_column[i] - _there[i]) / increment;
            _moved[j] = kept;
        }
    }
}

/// <summary>The stretch of time that a step covers.</summary>
internal readonly record struct NativeSpan(double Start, double End)
{
    public double Size => End - Start;

    /// <summary>The place of a time as a fraction of the step.</summary>
    public double Fraction(double time) => (time - Start) / Size;
}
