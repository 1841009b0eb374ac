using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>An explicit Runge–Kutta method at work in plain memory.</summary>
internal sealed unsafe class ExplicitNativeStepper : NativeStepper
{
    private readonly ButcherTableau _tableau;

    /// <summary>Addresses of the stages, those that only the interpolant needs behind the method's own.</summary>
    private readonly nint[] _stages;
    private readonly double* _input;
    private readonly NativeStiffness? _stiffness;
    private int _extraStages;

    public ExplicitNativeStepper(ButcherTableau tableau, NativeSystem system)
        : base(system)
    {
        _tableau = tableau;
        _stages = new nint[tableau.Extension.Polynomials.Length];
        for (int i = 1; i < _stages.Length; i++)
            _stages[i] = (nint)system.Take(system.Size);
        _input = system.Take(system.Size);
        bool shows = tableau.LastStageAtEnd > 0 && system.Options.StepSize is null;
        _stiffness = shows ? new NativeStiffness(tableau, system) : null;
    }

    public override int ErrorOrder => _tableau.ErrorOrder;

    public bool LooksStiff => _stiffness is { LooksStiff: true };

    public override void Interpolate(double time, double* result)
    {
        fixed (nint* addresses = _stages)
        {
            var k = (double**)addresses;
            EvaluateExtraStages(k);
            Extend(time, _tableau.Extension, k, result);
        }
    }

    public override void Accept()
    {
        fixed (nint* stages = _stages)
            _stiffness?.Accepted(State, Next, Attempt.Span.Size, (double**)stages);
        base.Accept();
    }

    protected override void Forget() => _stiffness?.Forget();

    protected override NativeAttempt Advance(NativeSpan span)
    {
        _extraStages = 0;
        _stages[0] = (nint)Derivative();
        _stiffness?.Moved(State, First);
        int stages = _tableau.Stages;
        fixed (nint* addresses = _stages)
        {
            var k = (double**)addresses;
            for (int i = 1; i < stages; i++)
            {
                double* input = i == stages - 1 && _tableau.IsFirstSameAsLast ? Next : _input;
                StateKernels.Combine(input, State, span.Size, _tableau.A[i].AsSpan(0, i), k, System.Size);
                System.Evaluate(span, _tableau.C[i], input, k[i]);
            }
            if (!_tableau.IsFirstSameAsLast)
                StateKernels.Combine(Next, State, span.Size, _tableau.B, k, System.Size);
            return new NativeAttempt(span, Error(span.Size, k));
        }
    }

    protected override bool TakeEndDerivative(double* target)
    {
        int end = _tableau.IsFirstSameAsLast ? _tableau.Stages - 1
            : _extraStages > 0 && _tableau.Extension.FirstExtraIsEnd ? _tableau.Stages : -1;
        if (end < 0)
            return false;
        NativeSystem.Copy((double*)_stages[end], target, System.Size);
        return true;
    }

    private double Error(double size, double** k)
    {
        if (_tableau.Error is null)
            return 0;
        double error = System.Norm.Of(State, Next, size, _tableau.Error, k);
        if (_tableau.SecondError is null || !(error > 0))
            return error;
        double second = System.Norm.Of(State, Next, size, _tableau.SecondError, k);
        return error * (error / Math.Sqrt(error * error + 0.01 * second * second));
    }

    private void EvaluateExtraStages(double** k)
    {
        ContinuousExtension extension = _tableau.Extension;
        for (; _extraStages < extension.ExtraC.Length; _extraStages++)
        {
            int i = _tableau.Stages + _extraStages;
            if (_extraStages == 0 && extension.FirstExtraIsEnd)
            {
                System.Evaluate(Attempt.Span, 1, Next, k[i]);
                continue;
            }
            StateKernels.Combine(_input, State, Attempt.Span.Size, extension.ExtraA[_extraStages].AsSpan(0, i), k, System.Size);
            System.Evaluate(Attempt.Span, extension.ExtraC[_extraStages], _input, k[i]);
        }
    }
}

/// <summary>Notices when stability and not accuracy limits the steps: see <see cref="StiffnessDetector"/>.</summary>
internal sealed unsafe class NativeStiffness
{
    private readonly ButcherTableau _tableau;
    private readonly NativeSystem _system;
    private readonly double[] _difference;
    private readonly double* _stage;
    private StiffnessCount _count;
    private bool _isPending;
    private double _distance;
    private double _size;

    public NativeStiffness(ButcherTableau tableau, NativeSystem system)
    {
        _tableau = tableau;
        _system = system;
        _difference = StiffnessCount.Difference(tableau);
        _stage = system.Take(system.Size);
    }

    public bool LooksStiff { get; private set; }

    /// <summary>A step is accepted.</summary>
    public void Accepted(double* state, double* next, double size, double** k)
    {
        _distance = _system.Norm.Of(state, next, size, _difference, k);
        _size = size;
        NativeSystem.Copy(k[_tableau.LastStageAtEnd], _stage, _system.Size);
        _isPending = true;
    }

    /// <summary>f at the end of the accepted step is known.</summary>
    public void Moved(double* state, double* derivative)
    {
        if (!_isPending)
            return;
        _isPending = false;
        double** pair = stackalloc double*[] { derivative, _stage };
        _count.Add(_tableau, _size, _distance, _system.Norm.Of(state, state, 1, [1, -1], pair));
        LooksStiff = _count.LooksStiff;
        _system.Statistics.IsStiff |= LooksStiff;
    }

    /// <summary>Starts afresh.</summary>
    public void Forget() => (_isPending, _count, LooksStiff) = (false, default, false);
}
