namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>An implicit Runge–Kutta method: a tableau and nothing else.</summary>
internal sealed class ImplicitRungeKutta : OdeMethod
{
    public ImplicitRungeKutta(string name, ImplicitTableau tableau)
        : base(name, tableau.Order, isAdaptive: tableau.Error is not null) => Tableau = tableau;

    public ImplicitTableau Tableau { get; }

    /// <summary>A cubic through both ends with both derivatives.</summary>
    public override int InterpolantOrder => Math.Min(Order, 3);

    internal override Stepper CreateStepper(StepperContext context) => new ImplicitRungeKuttaStepper(Tableau, context);
}

internal sealed class ImplicitRungeKuttaStepper : Stepper
{
    private readonly ImplicitTableau _tableau;
    private readonly NewtonSolver _newton;
    private readonly Tensor?[] _k;
    private Tensor? _first;
    private Tensor? _last;
    private StepAttempt? _attempt;

    public ImplicitRungeKuttaStepper(ImplicitTableau tableau, StepperContext context)
        : base(context)
    {
        _tableau = tableau;
        _newton = new NewtonSolver(tableau, context);
        _k = new Tensor?[tableau.Stages];
    }

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override void Start(double[] time, Tensor state)
    {
        DropAttempt();
        Release(ref _first);
        _newton.Forget();
        if (State is not null && !ReferenceEquals(State, state))
            Context.Arithmetic.Release(State);
        Time = time;
        State = state;
    }

    public override Tensor Derivative() => _first ??= Context.Evaluate(Time, State);

    public override StepAttempt Try(double[] end)
    {
        DropAttempt();
        var span = new StepSpan(Time, end, Context.Clock);
        Tensor first = Derivative();
        Tensor? next = null;
        bool[]? failed = null;
        foreach ((int start, int count) in _tableau.Groups)
        {
            if (count == 1 && _tableau.A[start][start] == 0)
            {
                _k[start] = start == 0 ? Context.Arithmetic.Copy(first) : Explicit(span, start);
                continue;
            }
            NewtonSolver.Result result = _newton.Solve(span, State, first, _k!, start, count);
            failed = result.Failed is null ? failed : Merge(failed, result.Failed);
            for (int i = 0; i < count; i++)
                _k[start + i] = result.Derivatives[i];
            if (_tableau.IsStifflyAccurate && start + count == _tableau.Stages)
                next = result.LastStage;
            else
                result.LastStage.Dispose();
        }
        next ??= Context.Arithmetic.Combine(State, span, _tableau.B, _k!);
        return _attempt = new StepAttempt(span, next, Error(span, first, next, failed), failed is not null);
    }

    public override Tensor Interpolate(double[] times)
    {
        StepSpan span = _attempt!.Span;
        Tensor end = EndDerivative();
        Tensor[] inputs = [State, _attempt.State, Derivative(), end];
        if (span.TrackedSize is { } size)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor s = Context.Clock.Difference(span.Start, times)! / size;
            Tensor s2 = s * s, s3 = s2 * s;
            Tensor p = 3 * s2 - 2 * s3;
            Tensor weights = stack([-p, p, size * (s - 2 * s2 + s3), size * (s3 - s2)], 1);
            return Context.Arithmetic.CombineTracked(State, weights, inputs).DetachFromDisposeScope();
        }
        var numbers = new double[4 * times.Length];
        for (int lane = 0; lane < times.Length; lane++)
        {
            double h = span.Size[lane];
            double s = h == 0 ? 0 : (times[lane] - span.Start[lane]) / h;
            double p = s * s * (3 - 2 * s);
            new[] { -p, p, h * s * (1 - s) * (1 - s), h * s * s * (s - 1) }.CopyTo(numbers, 4 * lane);
        }
        return Context.Arithmetic.Combine(State, null, numbers, inputs);
    }

    public override IReadOnlyList<long> WorstRows() => [];

    public override void Accept(bool[]? mask)
    {
        StepAttempt attempt = _attempt!;
        StateArithmetic arithmetic = Context.Arithmetic;
        bool all = mask is null || Array.TrueForAll(mask, accepted => accepted);
        Tensor? end = _last;
        _last = null;
        if (end is null && _tableau.IsStifflyAccurate)
        {
            end = _k[^1];
            _k[^1] = null;
        }
        Tensor? first = null;
        if (all)
        {
            arithmetic.Release(State);
            State = attempt.State;
            Time = attempt.Span.End;
            first = end;
        }
        else
        {
            Tensor state = arithmetic.Select(mask!, attempt.State, State);
            arithmetic.Release(State);
            arithmetic.Release(attempt.State);
            State = state;
            if (end is not null)
                first = arithmetic.Select(mask!, end, _first!);
            arithmetic.Release(end);
            Time = [.. mask!.Select((accepted, lane) => accepted ? attempt.Span.End[lane] : attempt.Span.Start[lane])];
        }
        _attempt = attempt with { State = null! };
        DropAttempt();
        Release(ref _first);
        _first = first;
        _newton.Moved();
    }

    public override void Keep(int[] lanes)
    {
        DropAttempt();
        State = Context.Arithmetic.Keep(State, lanes);
        if (_first is not null)
            _first = Context.Arithmetic.Keep(_first, lanes);
        Time = Array.ConvertAll(lanes, lane => Time[lane]);
        _newton.Forget();
    }

    public override void Dispose()
    {
        DropAttempt();
        Release(ref _first);
        _newton.Forget();
        if (State is not null)
            Context.Arithmetic.Release(State);
        State = null!;
    }

    private static bool[] Merge(bool[]? a, bool[] b) => a is null ? b : [.. a.Zip(b, (x, y) => x || y)];

    private Tensor Explicit(StepSpan span, int stage)
    {
        Tensor input = Context.Arithmetic.Combine(State, span, _tableau.A[stage].AsSpan(0, stage), _k.AsSpan(0, stage)!);
        Tensor k = Context.Evaluate(span, _tableau.C[stage], input);
        Context.Arithmetic.Release(input);
        return k;
    }

    private Tensor EndDerivative()
    {
        if (_tableau.IsStifflyAccurate)
            return _k[^1]!;
        return _last ??= Context.Evaluate(_attempt!.Span, 1, _attempt.State);
    }

    private double[]? Error(StepSpan span, Tensor first, Tensor next, bool[]? failed)
    {
        if (_tableau.Error is null)
            return null;
        double[] error;
        using (IDisposable noGrad = no_grad())
        {
            double[] weights = [_tableau.StartError, .. _tableau.Error];
            Tensor[] inputs = [first, .. _k!];
            using var plain = new TensorArithmetic(Context.Arithmetic.Lanes);
            using Tensor difference = plain.Combine(null, span, weights, inputs);
            using Tensor filtered = _newton.Filter(span, difference, _tableau.Filter);
            error = Context.Arithmetic.ScaledError(State, next, null, [1], [filtered], Context.Options);
        }
        for (int lane = 0; failed is not null && lane < error.Length; lane++)
            if (failed[lane])
                error[lane] = double.PositiveInfinity;
        return error;
    }

    private void DropAttempt()
    {
        for (int i = 0; i < _k.Length; i++)
            Release(ref _k[i]);
        Release(ref _last);
        if (_attempt is null)
            return;
        _attempt.Span.Dispose();
        if (_attempt.State is not null)
            Context.Arithmetic.Release(_attempt.State);
        _attempt = null;
    }

    private void Release(ref Tensor? tensor)
    {
        Context.Arithmetic.Release(tensor);
        tensor = null;
    }
}
