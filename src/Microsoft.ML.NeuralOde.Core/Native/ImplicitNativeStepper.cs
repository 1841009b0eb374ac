using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>An implicit Runge–Kutta method at work in plain memory: the steps of <see cref="ImplicitRungeKuttaStepper"/>.</summary>
internal sealed unsafe class ImplicitNativeStepper : NativeStepper
{
    private readonly ImplicitTableau _tableau;
    private readonly NativeNewton _newton;
    private readonly NativePredictor? _predictor;

    /// <summary>Addresses of f at the step's start and, from 1 on, of the stages' derivatives.</summary>
    private readonly nint[] _stages;
    private readonly double[] _errorWeights;
    private readonly double* _estimate;
    private readonly double* _moved;
    private readonly double* _slope;

    /// <summary>Whether the step being tried is the first, or was tried before with another size.</summary>
    private bool _isRepeated;

    public ImplicitNativeStepper(ImplicitTableau tableau, NativeSystem system, bool boundsSpectrum)
        : base(system)
    {
        _tableau = tableau;
        _newton = new NativeNewton(tableau, system, boundsSpectrum);
        _predictor = tableau.Groups[0].Count == tableau.Stages && tableau.Stages > 1 ? new NativePredictor(tableau, system) : null;
        _stages = new nint[tableau.Stages + 1];
        _stages[0] = (nint)First;
        for (int i = 1; i < _stages.Length; i++)
            _stages[i] = (nint)system.Take(system.Size);
        _errorWeights = tableau.Error is null ? [] : [tableau.StartError, .. tableau.Error];
        _estimate = system.Take(system.Size);
        _moved = system.Take(system.Size);
        _slope = system.Take(system.Size);
    }

    /// <inheritdoc cref="NativeNewton.SpectralBound"/>
    public double SpectralBound => _newton.SpectralBound;

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override StepController Controller => StepController.ForImplicitMethods;

    public override void Interpolate(double time, double* result)
    {
        if (_tableau.Extension is not { } extension)
        {
            base.Interpolate(time, result);
            return;
        }
        fixed (nint* stages = _stages)
            Extend(time, extension, ExtensionStages(extension, (double**)stages), result);
    }

    public override void Accept()
    {
        fixed (nint* stages = _stages)
            _predictor?.Remember(Attempt.Span.Size, (double**)stages + 1);
        base.Accept();
        _newton.Moved();
        _isRepeated = false;
    }

    protected override NativeAttempt Advance(NativeSpan span)
    {
        double* first = Derivative();
        bool failed = false;
        fixed (nint* stages = _stages)
        {
            double** k = (double**)stages + 1;
            foreach (StageGroup group in _tableau.Groups)
            {
                if (group.IsExplicit)
                    NativeSystem.Copy(first, k[group.First], System.Size);
                else
                    failed |= !_newton.Solve(span, State, first, k, group, _predictor);
            }
            if (_tableau.IsStifflyAccurate)
                NativeSystem.Copy(_newton.Stages + (_tableau.Groups[^1].Count - 1) * System.Size, Next, System.Size);
            else
                StateKernels.Combine(Next, State, span.Size, _tableau.B, k, System.Size);
            double error = Error(span, (double**)stages);
            _isRepeated = true;
            return new NativeAttempt(span, failed ? double.PositiveInfinity : error, failed);
        }
    }

    protected override bool TakeEndDerivative(double* target)
    {
        if (_tableau.IsStifflyAccurate)
            NativeSystem.Copy((double*)_stages[^1], target, System.Size);
        return _tableau.IsStifflyAccurate;
    }

    protected override void Forget()
    {
        _newton.Forget();
        _predictor?.Forget();
        _isRepeated = true;
    }

    /// <param name="span">The step.</param>
    /// <param name="k">f at the step's start and the stages' derivatives.</param>
    private double Error(in NativeSpan span, double** k)
    {
        if (_tableau.Error is null)
            return 0;
        double error = Estimate(span, k);
        if (_tableau.StartError != 0 && error > 1 && _isRepeated)
        {
            // What the state is away from the slow solution shows in f at the start and would reject every step. Filtered twice, it fades.
            for (int i = 0; i < System.Size; i++)
                _moved[i] = State[i] + _estimate[i];
            System.EvaluateLeaving(span.Start, _moved, _slope);
            double* first = k[0];
            k[0] = _slope;
            error = Estimate(span, k);
            k[0] = first;
        }
        bool looksInside = error <= 1 && System.Options.StepSize is null;
        return looksInside ? Math.Max(error, InterpolationError(span, k)) : error;
    }

    /// <summary>The size of (I − h γ₀ J)⁻¹ h (e₀ f + Σ e_i k_i).</summary>
    private double Estimate(in NativeSpan span, double** k)
    {
        StateKernels.Combine(_estimate, null, span.Size, _errorWeights, k, System.Size);
        _newton.Filter(span, _estimate);
        return System.Norm.Of(State, Next, _estimate);
    }

    /// <summary>The error of the interpolant at an output time inside the step, as the tensors' stepper looks at it; 0 where none
    /// is.</summary>
    private double InterpolationError(in NativeSpan span, double** k)
    {
        if (_tableau.Extension is not { } extension || System.Grid.OutputInside(span.Start, span.End) is not { } output)
            return 0;
        double** stages = ExtensionStages(extension, k);
        double place = span.Fraction(output);
        Span<double> weights = stackalloc double[extension.Polynomials.Length];
        extension.Weights(place, weights);
        StateKernels.Combine(_moved, State, span.Size, weights, stages, System.Size);
        System.Evaluate(span, place, _moved, _slope);
        extension.WeightDerivatives(place, weights);
        StateKernels.Combine(_moved, null, 1, weights, stages, System.Size);
        for (int i = 0; i < System.Size; i++)
            _moved[i] = span.Size * (_slope[i] - _moved[i]);
        _newton.Filter(span, _moved);
        for (int i = 0; i < System.Size; i++)
            _moved[i] *= _tableau.Filter;
        return System.Norm.Of(State, Next, _moved);
    }

    private double** ExtensionStages(ContinuousExtension extension, double** k) =>
        extension.Polynomials.Length > _tableau.Stages ? k : k + 1;
}
