using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>
/// A method at work in plain memory, the counterpart of <see cref="Stepping.Stepper"/>: it stands at a point, tries steps from there, and
/// goes on when a step is accepted.
/// </summary>
/// <remarks>
/// Coefficients, interpolants, step control and the search for events are those of the tensor solvers. The steps themselves are written
/// a second time: those of tensors carry a graph, one step size a row and memory that is lent and given back at each operation, all of
/// which costs more than a step of a few states does.
/// </remarks>
internal abstract unsafe class NativeStepper
{
    private readonly double* _last;
    private double* _state;
    private double* _next;
    private bool _hasFirst;
    private bool _hasLast;

    protected NativeStepper(NativeSystem system)
    {
        System = system;
        _state = system.Take(system.Size);
        _next = system.Take(system.Size);
        First = system.Take(system.Size);
        _last = system.Take(system.Size);
    }

    public double Time { get; protected set; }

    /// <summary>The state at <see cref="Time"/>.</summary>
    public virtual double* State => _state;

    /// <summary>The state at the end of the attempted step.</summary>
    public virtual double* Next => _next;

    /// <inheritdoc cref="Stepping.Stepper.ErrorOrder"/>
    public abstract int ErrorOrder { get; }

    /// <inheritdoc cref="Stepping.Stepper.Controller"/>
    public virtual StepController Controller => StepController.Default;

    protected NativeSystem System { get; }

    /// <summary>Memory of f at the step's start.</summary>
    protected double* First { get; }

    protected NativeAttempt Attempt { get; private set; }

    /// <summary>The stepper of a method.</summary>
    /// <exception cref="ArgumentException">The method has none.</exception>
    public static NativeStepper Create(OdeMethod method, NativeSystem system) => method switch
    {
        { ExplicitTableau: { } tableau } => new ExplicitNativeStepper(tableau, system),
        ImplicitRungeKutta { Tableau: { } tableau } => new ImplicitNativeStepper(tableau, system, boundsSpectrum: false),
        AutoSwitching switching => new SwitchingNativeStepper(switching, system),
        _ => throw new ArgumentException(
            $"OdeMethod '{method.Name}' works on tensors alone; without them take an explicit or implicit Runge–Kutta method such as "
            + "OdeMethod.Tsit5 or OdeMethod.Radau5, or OdeMethod.Auto.", nameof(method)),
    };

    /// <summary>Stands at a point afresh: at the start, behind a discontinuity.</summary>
    public virtual void Start(double time, double* state)
    {
        Time = time;
        NativeSystem.Copy(state, State, System.Size);
        _hasFirst = _hasLast = false;
        Forget();
    }

    /// <summary>f at the current point.</summary>
    public virtual double* Derivative()
    {
        if (!_hasFirst)
            System.EvaluateLeaving(Time, State, First);
        _hasFirst = true;
        return First;
    }

    /// <summary>Tries a step to a time and forgets the previous attempt.</summary>
    public virtual NativeAttempt Try(double end)
    {
        _hasLast = false;
        return Attempt = Advance(new NativeSpan(Time, end));
    }

    /// <summary>The state at a time inside the attempted step; by default on the cubic through both ends with both derivatives.</summary>
    public virtual void Interpolate(double time, double* result)
    {
        NativeSpan span = Attempt.Span;
        if (!_hasLast && !TakeEndDerivative(_last))
            System.Evaluate(span, 1, Next, _last);
        _hasLast = true;
        HermiteBasis basis = HermiteBasis.At(span.Fraction(time));
        double** inputs = stackalloc double*[] { State, Next, Derivative(), _last };
        StateKernels.Combine(
            result, State, 1, [-basis.End, basis.End, span.Size * basis.StartSlope, span.Size * basis.EndSlope], inputs, System.Size);
    }

    /// <summary>Goes to the end of the attempted step.</summary>
    public virtual void Accept()
    {
        if (_hasLast)
            NativeSystem.Copy(_last, First, System.Size);
        _hasFirst = _hasLast || TakeEndDerivative(First);
        _hasLast = false;
        double* end = _next;
        _next = _state;
        _state = end;
        Time = Attempt.Span.End;
    }

    /// <summary>Makes the step.</summary>
    protected abstract NativeAttempt Advance(NativeSpan span);

    /// <summary>Writes f at the end of the step, if the method has it.</summary>
    protected abstract bool TakeEndDerivative(double* target);

    /// <summary>Drops what the method remembers of earlier steps.</summary>
    protected abstract void Forget();

    /// <summary>A method's own interpolant: y + h Σ_i p_i(σ) k_i.</summary>
    protected void Extend(double time, ContinuousExtension extension, double** k, double* result)
    {
        Span<double> weights = stackalloc double[extension.Polynomials.Length];
        extension.Weights(Attempt.Span.Fraction(time), weights);
        StateKernels.Combine(result, State, Attempt.Span.Size, weights, k, System.Size);
    }
}

/// <summary>A step that was tried.</summary>
/// <param name="Span">The stretch of time it covers.</param>
/// <param name="Error">Its error in units of the tolerance; 0 where the method estimates none.</param>
/// <param name="NewtonFailed">Whether the stage equations of an implicit method could not be solved.</param>
internal readonly record struct NativeAttempt(NativeSpan Span, double Error, bool NewtonFailed = false);
