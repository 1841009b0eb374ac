using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// What methods share that go from one point to the next: where they stand, the derivative there, and the step being tried. The interpolant
/// is the cubic through both ends of the step with both derivatives, unless a method has its own.
/// </summary>
internal abstract class OneStepStepper : Stepper
{
    private Tensor? _first;
    private Tensor? _last;

    protected OneStepStepper(StepperContext context)
        : base(context)
    {
    }

    /// <summary>The step being tried; null between steps.</summary>
    protected StepAttempt? Attempt { get; private set; }

    public override void Start(double[] time, Tensor state)
    {
        DropAttempt();
        Release(ref _first);
        if (State is not null && !ReferenceEquals(State, state))
            Context.Arithmetic.Release(State);
        Time = time;
        State = state;
        Forget();
    }

    public override Tensor Derivative() => _first ??= Context.Evaluate(Time, DerivativeState);

    public override StepAttempt Try(double[] end)
    {
        DropAttempt();
        return Attempt = Advance(new StepSpan(Time, end, Context.Clock));
    }

    public override Tensor Interpolate(double[] times)
    {
        StepSpan span = Attempt!.Span;
        _last ??= TakeEndDerivative() ?? Context.Evaluate(span, 1, Attempt.State);
        return Hermite(times, Derivative(), _last);
    }

    /// <summary>The cubic through both ends of the step with these derivatives there.</summary>
    protected Tensor Hermite(double[] times, Tensor first, Tensor last)
    {
        StepSpan span = Attempt!.Span;
        Tensor[] inputs = [State, Attempt.State, first, last];
        if (span.TrackedSize is { } size)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor s = Context.Clock.Difference(span.Start, times)! / size;
            Tensor s2 = s * s, s3 = s2 * s;
            Tensor p = s2.Times(3) - s3.Times(2);
            Tensor weights = stack([-p, p, size * (s - s2.Times(2)).Plus(s3), size * (s3 - s2)], 1);
            return Context.Arithmetic.CombineTracked(State, weights, inputs).DetachFromDisposeScope();
        }
        var numbers = new double[4 * times.Length];
        for (int lane = 0; lane < times.Length; lane++)
        {
            double h = span.Size[lane];
            HermiteBasis basis = HermiteBasis.At(span.Fraction(times[lane], lane));
            new[] { -basis.End, basis.End, h * basis.StartSlope, h * basis.EndSlope }.CopyTo(numbers, 4 * lane);
        }
        return Context.Arithmetic.Combine(State, null, numbers, inputs);
    }

    /// <summary>A method's own interpolant: y + h Σ_i p_i(σ) k_i.</summary>
    protected Tensor Extend(double[] times, ContinuousExtension extension, ReadOnlySpan<Tensor> k)
    {
        StepSpan span = Attempt!.Span;
        if (span.TrackedSize is { } size)
        {
            using DisposeScope scope = NewDisposeScope();
            using Tensor elapsed = Context.Clock.Difference(span.Start, times)!;
            Tensor weights = extension.Weights(elapsed / size) * size.unsqueeze(1);
            return Context.Arithmetic.CombineTracked(State, weights, k).DetachFromDisposeScope();
        }
        var numbers = new double[times.Length * k.Length];
        for (int lane = 0; lane < times.Length; lane++)
            extension.Weights(span.Fraction(times[lane], lane), numbers.AsSpan(lane * k.Length, k.Length));
        return Context.Arithmetic.Combine(State, span, numbers, k);
    }

    public override IReadOnlyList<long> WorstRows() => [];

    public override void Accept(bool[]? mask)
    {
        StepAttempt attempt = Attempt!;
        StateArithmetic arithmetic = Context.Arithmetic;
        Tensor? end = _last ?? TakeEndDerivative();
        _last = null;
        if (mask is null || Array.TrueForAll(mask, accepted => accepted))
        {
            arithmetic.Release(State);
            State = attempt.State;
            Time = attempt.Span.End;
            Release(ref _first);
            _first = end;
        }
        else
        {
            State = Select(mask, attempt.State, State);
            Tensor? first = end is null || _first is null ? null : arithmetic.Select(mask, end, _first);
            arithmetic.Release(end);
            Release(ref _first);
            _first = first;
            Time = [.. mask.Select((accepted, lane) => accepted ? attempt.Span.End[lane] : attempt.Span.Start[lane])];
        }
        Attempt = attempt with { State = null! };
        Moved(mask);
        DropAttempt();
    }

    public override void Keep(int[] lanes)
    {
        DropAttempt();
        State = Context.Arithmetic.Keep(State, lanes);
        if (_first is not null)
            _first = Context.Arithmetic.Keep(_first, lanes);
        Time = Array.ConvertAll(lanes, lane => Time[lane]);
    }

    public override void Dispose()
    {
        DropAttempt();
        Release(ref _first);
        Forget();
        if (State is not null)
            Context.Arithmetic.Release(State);
        State = null!;
    }

    /// <summary>Where <see cref="Derivative"/> is taken.</summary>
    protected virtual Tensor DerivativeState => State;

    /// <summary>Makes the step.</summary>
    protected abstract StepAttempt Advance(StepSpan span);

    /// <summary>f at the end of the step, if the method has it; the caller's from then on.</summary>
    protected virtual Tensor? TakeEndDerivative() => null;

    /// <summary>The step was accepted, in all lanes or the marked ones: the method's own memory moves along.</summary>
    protected virtual void Moved(bool[]? mask)
    {
    }

    /// <summary>Drops what the method remembers of earlier steps.</summary>
    protected virtual void Forget()
    {
    }

    /// <summary>Drops what the method holds of the step being tried.</summary>
    protected virtual void DropStep()
    {
    }

    /// <summary>Lane by lane one of two states, both of which are released.</summary>
    protected Tensor Select(bool[] mask, Tensor ifTrue, Tensor ifFalse)
    {
        Tensor selected = Context.Arithmetic.Select(mask, ifTrue, ifFalse);
        Context.Arithmetic.Release(ifTrue);
        Context.Arithmetic.Release(ifFalse);
        return selected;
    }

    protected void Release(ref Tensor? tensor)
    {
        Context.Arithmetic.Release(tensor);
        tensor = null;
    }

    private void DropAttempt()
    {
        DropStep();
        Release(ref _last);
        if (Attempt is null)
            return;
        Attempt.Span.Dispose();
        if (Attempt.State is not null)
            Context.Arithmetic.Release(Attempt.State);
        Attempt = null;
    }
}
