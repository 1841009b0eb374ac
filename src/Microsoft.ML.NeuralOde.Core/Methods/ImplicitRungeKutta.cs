namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>An implicit Runge–Kutta method: a tableau and nothing else.</summary>
internal sealed class ImplicitRungeKutta : OdeMethod
{
    public ImplicitRungeKutta(string name, ImplicitTableau tableau)
        : base(name, tableau.Order, isAdaptive: tableau.Error is not null) => Tableau = tableau;

    public ImplicitTableau Tableau { get; }

    /// <summary>A cubic through both ends with both derivatives.</summary>
    public override int InterpolantOrder => Math.Min(Order, 3);

    internal override Stepper CreateStepper(StepperContext context) => new ImplicitRungeKuttaStepper(this, context);
}

internal sealed class ImplicitRungeKuttaStepper : OneStepStepper
{
    private readonly ImplicitTableau _tableau;
    private readonly NewtonSolver _newton;
    private readonly Tensor?[] _k;

    public ImplicitRungeKuttaStepper(ImplicitRungeKutta method, StepperContext context)
        : base(context)
    {
        StepMethod = method;
        _tableau = method.Tableau;
        _newton = new NewtonSolver(_tableau, context);
        _k = new Tensor?[_tableau.Stages];
    }

    public override OdeMethod? StepMethod { get; }

    /// <summary>A bound on the absolute eigenvalues of the Jacobian that was used last, over all rows.</summary>
    public double SpectralBound => _newton.SpectralBound;

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override void Keep(int[] lanes)
    {
        base.Keep(lanes);
        _newton.Forget();
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        Tensor first = Derivative();
        Tensor? next = null;
        bool[]? failed = null;
        foreach ((int start, int count) in _tableau.Groups)
        {
            if (count == 1 && _tableau.A[start][start] == 0)
            {
                _k[start] = Context.Arithmetic.Copy(first);
                continue;
            }
            NewtonSolver.Result result = _newton.Solve(span, State, first, _k!, start, count);
            if (result.Failed is not null)
                failed = failed is null ? result.Failed : [.. failed.Zip(result.Failed, (x, y) => x || y)];
            for (int i = 0; i < count; i++)
                _k[start + i] = result.Derivatives[i];
            if (_tableau.IsStifflyAccurate && start + count == _tableau.Stages)
                next = result.LastStage;
            else
                result.LastStage.Dispose();
        }
        next ??= Context.Arithmetic.Combine(State, span, _tableau.B, _k!);
        return new StepAttempt(span, next, Error(span, first, next, failed), failed is not null);
    }

    protected override Tensor? TakeEndDerivative()
    {
        if (!_tableau.IsStifflyAccurate)
            return null;
        Tensor? last = _k[^1];
        _k[^1] = null;
        return last;
    }

    protected override void Moved(bool[]? mask) => _newton.Moved();

    protected override void Forget() => _newton.Forget();

    protected override void DropStep()
    {
        for (int i = 0; i < _k.Length; i++)
            Release(ref _k[i]);
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
}
