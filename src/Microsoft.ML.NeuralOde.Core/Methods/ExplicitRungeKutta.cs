using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>An explicit Runge–Kutta method: a tableau and nothing else.</summary>
internal sealed class ExplicitRungeKutta : OdeMethod
{
    public ExplicitRungeKutta(string name, ButcherTableau tableau, bool isKnownByName = true)
        : base(name, tableau.Order, isAdaptive: tableau.Error is not null)
    {
        Tableau = tableau;
        IsKnownByName = isKnownByName;
    }

    public ButcherTableau Tableau { get; }

    public override int Stages => Tableau.Stages;

    public override int InterpolantOrder => Tableau.Extension.Order;

    internal override bool IsKnownByName { get; }

    internal override ButcherTableau ExplicitTableau => Tableau;

    internal override OdeMethod AdjointMethod => this;

    internal override ExplicitRungeKuttaStepper CreateStepper(StepperContext context) => new ExplicitRungeKuttaStepper(this, context);
}

internal sealed class ExplicitRungeKuttaStepper : OneStepStepper
{
    /// <summary>
    /// Stages of the step being tried, those that only the interpolant needs behind the method's own. The first is the derivative at the
    /// start.
    /// </summary>
    private readonly Tensor[] _k;
    private readonly StiffnessDetector? _stiffness;
    private int _extraStages;

    public ExplicitRungeKuttaStepper(ExplicitRungeKutta method, StepperContext context)
        : base(context)
    {
        StepMethod = method;
        Tableau = method.Tableau;
        _k = new Tensor[Tableau.Extension.Polynomials.Length];
        _stiffness = StiffnessDetector.Create(Tableau, context);
    }

    public ButcherTableau Tableau { get; }

    public override OdeMethod? StepMethod { get; }

    /// <summary>Whether stability limited the last steps.</summary>
    public bool LooksStiff => _stiffness is { LooksStiff: true };

    public override int ErrorOrder => Tableau.ErrorOrder;

    public override StepStages Stages => new()
    {
        Derivatives = Derivatives,
        A = Tableau.A,
        B = Tableau.B,
        C = Tableau.C,
        SolutionCount = Tableau.SolutionStages,
    };

    private ReadOnlySpan<Tensor> Derivatives => _k.AsSpan(0, Tableau.Stages);

    public override Tensor Interpolate(double[] times)
    {
        EvaluateExtraStages();
        return Extend(times, Tableau.Extension, _k);
    }

    public override IReadOnlyList<long> WorstRows()
    {
        if (Tableau.Error is null || State.dim() == 0)
            return [];
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(Context.Arithmetic.Lanes);
        Tensor error = arithmetic.Combine(null, Attempt!.Span, Tableau.Error, Derivatives);
        Tensor ratio = StateArithmetic.Ratio(error, State, Attempt.State, Context.Options).reshape(State.shape[0], -1);
        double[] errors = ratio.to(ScalarType.Float64)
            .Squared().mean([1L]).nan_to_num(double.PositiveInfinity).to(CPU).data<double>().ToArray();
        long[] worst = [.. Enumerable.Range(0, errors.Length).Select(row => (long)row).OrderByDescending(row => errors[row]).Take(10)];
        // Those that keep the tolerance are not at fault, however near they come to it.
        return [.. worst.Where((row, place) => place == 0 || errors[row] > 1)];
    }

    public override void Accept(bool[]? mask)
    {
        _stiffness?.Accepted(State, Attempt!, _k.AsSpan(0, Tableau.Stages), mask);
        base.Accept(mask);
    }

    public override void Keep(int[] lanes)
    {
        base.Keep(lanes);
        _stiffness?.Keep(lanes);
    }

    protected override void Forget() => _stiffness?.Forget();

    protected override StepAttempt Advance(StepSpan span)
    {
        StateArithmetic arithmetic = Context.Arithmetic;
        int stages = Tableau.Stages;
        _k[0] = Derivative();
        _stiffness?.Moved(State, _k[0]);
        using var table = new StepTable(arithmetic.Lanes, span, Tableau.Rows);
        Tensor? next = null;
        for (int i = 1; i < stages; i++)
        {
            Tensor input = arithmetic.Combine(State, table, i, _k.AsSpan(0, i));
            _k[i] = Context.Evaluate(span, Tableau.C[i], input);
            if (i == stages - 1 && Tableau.IsFirstSameAsLast)
                next = input;
            else
                arithmetic.Release(input);
        }
        next ??= arithmetic.Combine(State, table, Tableau.SolutionRow, Derivatives);
        return new StepAttempt(span, next, ExplicitStages.Error(Context, Tableau, table, State, next, Derivatives));
    }

    protected override Tensor? TakeEndDerivative()
    {
        int end = Tableau.IsFirstSameAsLast
            ? Tableau.Stages - 1 : _extraStages > 0 && Tableau.Extension.FirstExtraIsEnd ? Tableau.Stages : -1;
        if (end < 0)
            return null;
        Tensor derivative = _k[end];
        _k[end] = null!;
        return derivative;
    }

    protected override void DropStep()
    {
        for (int i = 1; i < _k.Length; i++)
            Release(ref _k[i]!);
        _k[0] = null!;
        _extraStages = 0;
    }

    private void EvaluateExtraStages()
    {
        ContinuousExtension extension = Tableau.Extension;
        StepAttempt attempt = Attempt!;
        using var table = new StepTable(Context.Arithmetic.Lanes, attempt.Span, extension.ExtraA);
        for (; _extraStages < extension.ExtraC.Length; _extraStages++)
        {
            int i = Tableau.Stages + _extraStages;
            if (_extraStages == 0 && extension.FirstExtraIsEnd)
            {
                _k[i] = Context.Evaluate(attempt.Span, 1, attempt.State);
                continue;
            }
            Tensor input = Context.Arithmetic.Combine(State, table, _extraStages, _k.AsSpan(0, i));
            _k[i] = Context.Evaluate(attempt.Span, extension.ExtraC[_extraStages], input);
            Context.Arithmetic.Release(input);
        }
    }
}
