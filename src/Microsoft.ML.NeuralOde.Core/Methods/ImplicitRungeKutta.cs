using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>An implicit Runge–Kutta method: a tableau and nothing else.</summary>
internal sealed class ImplicitRungeKutta : OdeMethod
{
    public ImplicitRungeKutta(string name, ImplicitTableau tableau)
        : base(name, tableau.Order, isAdaptive: tableau.Error is not null) => Tableau = tableau;

    public ImplicitTableau Tableau { get; }

    public override int Stages => Tableau.Stages;

    /// <summary>That of the method's own interpolant, or of the cubic through both ends with both derivatives.</summary>
    public override int InterpolantOrder => Tableau.Extension?.Order ?? Math.Min(Order, 3);

    internal override bool SolvesEquations => true;

    internal override OdeMethod AdjointMethod => this;

    internal override ImplicitRungeKuttaStepper CreateStepper(StepperContext context) => new ImplicitRungeKuttaStepper(this, context);
}

internal sealed class ImplicitRungeKuttaStepper : OneStepStepper
{
    private readonly ImplicitTableau _tableau;
    private readonly NewtonSolver _newton;
    private readonly StagePredictor? _predictor;
    private readonly Tensor?[] _k;

    /// <summary>Whether, lane by lane, the step being tried is the first, or was tried before with another size.</summary>
    private bool[] _isRepeated = [];

    public ImplicitRungeKuttaStepper(ImplicitRungeKutta method, StepperContext context)
        : base(context)
    {
        StepMethod = method;
        _tableau = method.Tableau;
        _newton = new NewtonSolver(_tableau, context);
        // Diagonally implicit stages start from each other.
        _predictor = _tableau.Groups[0].Count == _tableau.Stages && _tableau.Stages > 1 ? new StagePredictor(_tableau, context) : null;
        _k = new Tensor?[_tableau.Stages];
    }

    public override OdeMethod? StepMethod { get; }

    public override StepStages Stages => new()
    {
        Derivatives = _k!,
        A = _tableau.A,
        B = _tableau.B,
        C = _tableau.C,
        SolutionCount = _tableau.Stages,
    };

    /// <summary>A bound on the absolute eigenvalues of the Jacobian that was used last, over all rows.</summary>
    public double SpectralBound => _newton.SpectralBound;

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override StepController Controller => StepController.ForImplicitMethods;

    public override Tensor Interpolate(double[] times) =>
        _tableau.Extension is { } extension ? Extend(times, extension, ExtensionStages(extension, Derivative())) : base.Interpolate(times);

    public override void Accept(bool[]? mask)
    {
        _predictor?.Remember(Attempt!.Span, _k, mask is null || Array.TrueForAll(mask, accepted => accepted) ? null : mask);
        base.Accept(mask);
    }

    public override void Keep(int[] lanes)
    {
        base.Keep(lanes);
        _newton.Forget();
        _predictor?.Keep(lanes);
        _isRepeated = Array.ConvertAll(lanes, lane => _isRepeated[lane]);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        Tensor first = Derivative();
        Tensor? next = null;
        bool[]? failed = null;
        foreach (StageGroup group in _tableau.Groups)
        {
            (int start, int count) = group;
            if (group.IsExplicit)
            {
                _k[start] = Context.Arithmetic.Copy(first);
                continue;
            }
            NewtonSolver.Result result = _newton.Solve(span, State, first, _k!, group, _predictor);
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
        double[]? error = Error(span, first, next, failed);
        Array.Fill(_isRepeated, true);
        return new StepAttempt(span, next, error, failed is not null);
    }

    protected override Tensor? TakeEndDerivative()
    {
        if (!_tableau.IsStifflyAccurate)
            return null;
        Tensor? last = _k[^1];
        // The prediction of the next step needs all of them.
        if (_predictor is not null)
            return Context.Arithmetic.Copy(last!);
        _k[^1] = null;
        return last;
    }

    protected override void Moved(bool[]? mask)
    {
        _newton.Moved();
        _isRepeated = [.. mask?.Select(accepted => !accepted) ?? new bool[_isRepeated.Length]];
    }

    protected override void Forget()
    {
        _newton.Forget();
        _predictor?.Forget();
        _isRepeated = [.. Enumerable.Repeat(true, Context.Arithmetic.Lanes)];
    }

    protected override void DropStep()
    {
        for (int i = 0; i < _k.Length; i++)
            Release(ref _k[i]);
    }

    private double[]? Error(StepSpan span, Tensor first, Tensor next, bool[]? failed)
    {
        if (_tableau.Error is null)
            return null;
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor estimate = Estimate(span, first);
        double[] error = Context.Arithmetic.ScaledError(State, next, null, [1], [estimate], Context.Options);
        if (_tableau.StartError != 0 && error.Where((e, lane) => e > 1 && _isRepeated[lane]).Any())
        {
            // What the state is away from the slow solution shows in f at the start and would reject every step. Filtered twice, it fades.
            Tensor moved = Context.Arithmetic.Combine(State.detach(), null, [1], [estimate]);
            using Tensor slope = Context.Evaluate(span.Start, moved);
            double[] again = Context.Arithmetic.ScaledError(State, next, null, [1], [Estimate(span, slope)], Context.Options);
            error = [.. error.Select((e, lane) => e > 1 && _isRepeated[lane] ? again[lane] : e)];
            Context.Arithmetic.Release(moved);
        }
        if (Context.Options.StepSize is null && Array.Exists(error, e => e <= 1) && InterpolationError(span, first, next) is { } inside)
            error = [.. error.Zip(inside, Math.Max)];
        for (int lane = 0; failed is not null && lane < error.Length; lane++)
            if (failed[lane])
                error[lane] = double.PositiveInfinity;
        return error;
    }

    /// <summary>
    /// The error of the interpolant at an output time inside the step, in units of the tolerance, lane by lane; null where no output is
    /// inside. On stiff problems the step's end may be exact, and its estimate small, where the polynomial between is neither.
    /// </summary>
    /// <remarks>
    /// γ₀ (I − h γ₀ J)⁻¹ h (f(t, u) − u′) for the interpolant u: the matrix makes the defect of a stiff component one of its place.
    /// </remarks>
    private double[]? InterpolationError(StepSpan span, Tensor first, Tensor next)
    {
        double?[] outputs = [.. span.Start.Zip(span.End, Context.Clock.OutputInside)];
        if (_tableau.Extension is not { } extension || Array.TrueForAll(outputs, output => output is null) || next.numel() == 0)
            return null;
        Tensor[] stages = ExtensionStages(extension, first);
        int count = stages.Length;
        var times = new double[outputs.Length];
        var weights = new double[times.Length * count];
        var slopes = new double[times.Length * count];
        for (int lane = 0; lane < times.Length; lane++)
        {
            times[lane] = outputs[lane] ?? span.End[lane];
            extension.Weights(span.Fraction(times[lane], lane), weights.AsSpan(lane * count, count));
            extension.WeightDerivatives(span.Fraction(times[lane], lane), slopes.AsSpan(lane * count, count));
        }
        using var plain = new TensorArithmetic(Context.Arithmetic.Lanes);
        using StepSpan numbers = span.AsNumbers();
        using Tensor place = plain.Combine(State.detach(), numbers, weights, stages);
        using Tensor slope = plain.Combine(null, null, slopes, stages);
        Tensor there = Context.Evaluate(times, place);
        using Tensor defect = plain.Combine(null, numbers, [1, -1], [there, slope]);
        Context.Arithmetic.Release(there);
        using Tensor filtered = _newton.Filter(span, defect);
        double[] error = Context.Arithmetic.ScaledError(State, next, null, [_tableau.Filter], [filtered], Context.Options);
        return [.. error.Select((e, lane) => outputs[lane] is null ? 0 : e)];
    }

    private Tensor[] ExtensionStages(ContinuousExtension extension, Tensor first) =>
        extension.Polynomials.Length > _k.Length ? [first, .. _k!] : [.. _k!];

    /// <summary>(I − h γ₀ J)⁻¹ h (e₀ f + Σ e_i k_i).</summary>
    private Tensor Estimate(StepSpan span, Tensor slope)
    {
        double[] weights = [_tableau.StartError, .. _tableau.Error!];
        Tensor[] inputs = [slope, .. _k!];
        using var plain = new TensorArithmetic(Context.Arithmetic.Lanes);
        using Tensor difference = plain.Combine(null, span, weights, inputs);
        return _newton.Filter(span, difference);
    }
}
