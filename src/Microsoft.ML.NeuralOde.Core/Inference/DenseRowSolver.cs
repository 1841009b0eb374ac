using System.Numerics;
using System.Runtime.CompilerServices;
using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Inference;

/// <summary>
/// Solves an <see cref="OdeBlock"/> of <see cref="DenseDynamics"/> by an explicit Runge–Kutta method, one row at a time and without a
/// tensor: for scoring, where each row has its own steps anyway. The steps are those that <see cref="Ode"/> would choose, up to rounding.
/// </summary>
internal sealed unsafe class DenseRowSolver
{
    private readonly ButcherTableau _tableau;
    private readonly OdeSolverOptions _options;
    private readonly double _end;
    private readonly StepLimits _limits;
    private readonly StepController _controller;
    private readonly Activation _activation;
    private readonly PackedLinear[] _layers;
    private readonly float[]?[] _timeWeights;
    private readonly int _hiddenWidth;

    private DenseRowSolver(ButcherTableau tableau, OdeSolverOptions options, double end, DenseDynamics dynamics)
    {
        _tableau = tableau;
        _options = options;
        _end = end;
        _limits = new StepLimits(0, [end], options);
        _controller = options.Controller ?? StepController.Default;
        _activation = dynamics.Activation;
        Features = (int)dynamics.Features;
        Dictionary<string, float[]> parameters = dynamics.named_parameters()
            .ToDictionary(p => p.name, p => p.parameter.detach().cpu().contiguous().data<float>().ToArray());
        _layers = new PackedLinear[dynamics.Hidden.Count + 1];
        _timeWeights = new float[_layers.Length][];
        for (int i = 0; i < _layers.Length; i++)
        {
            _layers[i] = new PackedLinear(parameters[$"weight{i}"], parameters[$"bias{i}"]);
            string time = dynamics.Time == TimeDependence.Concatenate ? $"time_weight{i}" : "time_weight";
            if (parameters.TryGetValue(time, out float[]? weights)
                && (dynamics.Time == TimeDependence.Concatenate || i == _layers.Length - 1))
            {
                float[] padded = _timeWeights[i] = new float[_layers[i].Width];
                weights.CopyTo(padded, 0);
            }
        }
        Width = PackedLinear.Pad(Features);
        _hiddenWidth = _layers.Max(layer => layer.Width);
        // Stages, the solution at the step's end, a stage's input; two hidden layers and a bias that moves with time.
        ScratchLength = (tableau.Stages + 2) * Width + 3 * _hiddenWidth;
    }

    /// <summary>Size of the state.</summary>
    public int Features { get; }

    /// <summary>The room that a state takes: <see cref="Features"/> and a padding of zeros.</summary>
    public int Width { get; }

    /// <summary>How many numbers of working memory a solve needs.</summary>
    public int ScratchLength { get; }

    /// <summary>A solver with the block's parameters as they are now; null where block or options need the general one.</summary>
    public static DenseRowSolver? TryCreate(OdeBlock block, OdeSolverOptions options)
    {
        bool isPlain = options.RelativeTolerances is null && options.AbsoluteTolerances is null && options.Norm.Measure.IsRootMeanSquare
            && options.Discontinuities.Count == 0 && options.Events.Count == 0 && options.Progress is null;
        return isPlain && options.Method.ExplicitTableau is { } tableau
            && block.Dynamics is DenseDynamics
            {
                Conditions: 0,
                Time: TimeDependence.None or TimeDependence.Add or TimeDependence.Concatenate,
            } dynamics
            && dynamics.parameters().All(parameter => parameter.dtype == ScalarType.Float32)
            ? new DenseRowSolver(tableau, options, block.EndTime, dynamics) : null;
    }

    /// <summary>Takes a state, <see cref="Width"/> numbers, from time 0 to the end time; a row that cannot be solved becomes NaN.</summary>
    /// <exception cref="OdeSolverException">The step limit was reached, and the options ask for an exception.</exception>
    public void Solve(float* state, float* scratch)
    {
        var work = new Work(state, scratch, Width, _hiddenWidth, _tableau.Stages);
        bool solved = _tableau.Error is not null && _options.StepSize is null ? SolveAdaptively(work) : SolveInEqualSteps(work);
        if (!solved)
            new Span<float>(state, Features).Fill(float.NaN);
    }

    private bool SolveAdaptively(Work work)
    {
        if (!IsFinite(work.State))
            return false;
        double time = 0;
        var steps = new AdaptiveSteps(_limits);
        Evaluate(0, work.State, work.K(0), work);
        steps.Begin(0, _options.FirstStep ?? FirstStep(work, steps.Room(0)));
        for (long attempt = 0; attempt < _options.MaximumSteps; attempt++)
        {
            double end = steps.End(time), size = end - time;
            float* next = Advance(time, size, work);
            double error = Error(work, next, size);
            double tried = Math.Abs(size);
            if (error <= 1)
            {
                if (steps.IsCut)
                {
                    new Span<float>(next, Features).CopyTo(new Span<float>(work.State, Features));
                    return true;
                }
                steps.Accept(_controller, _tableau.ErrorOrder, tried, error);
                time = end;
                Accept(time, next, work);
                continue;
            }
            // Where the derivative itself is not finite, no step is small enough.
            if (!steps.Reject(_controller, _tableau.ErrorOrder, time, tried, error) || (!double.IsFinite(error) && !IsFinite(work.K(0))))
                return false;
        }
        if (_options.OnStepLimit == StepLimitBehavior.Throw)
            throw new OdeSolverException(
                SolverFailure.StepLimit, time, _limits.Direction * steps.Size, double.NaN, [], $"MaximumSteps is {_options.MaximumSteps}.");
        return false;
    }

    private bool SolveInEqualSteps(Work work)
    {
        var steps = new FixedSteps(0, _end, _options.LargestFixedStep);
        if (steps.Count > _options.MaximumSteps && _options.OnStepLimit == StepLimitBehavior.Throw)
            throw new OdeSolverException(
                SolverFailure.StepLimit, 0, steps.Size, double.NaN, [], $"MaximumSteps is {_options.MaximumSteps}.");
        if (steps.Count > _options.MaximumSteps)
            return false;
        Evaluate(0, work.State, work.K(0), work);
        double time = 0;
        for (long i = 1; i <= steps.Count; i++)
        {
            double end = steps.End(i);
            float* next = Advance(time, end - time, work);
            if (i == steps.Count)
                new Span<float>(next, Features).CopyTo(new Span<float>(work.State, Features));
            else
                Accept(end, next, work);
            time = end;
        }
        return true;
    }

    /// <summary>The solution one step on; the stages are left in place.</summary>
    private float* Advance(double time, double size, Work work)
    {
        int stages = _tableau.Stages;
        for (int i = 1; i < stages; i++)
        {
            // The last stage of a method that is “first same as last” is f at the solution.
            float* input = i == stages - 1 && _tableau.IsFirstSameAsLast ? work.Next : work.Input;
            Combine(input, work.State, size, _tableau.A[i], i, work);
            Evaluate(time + _tableau.C[i] * size, input, work.K(i), work);
        }
        if (!_tableau.IsFirstSameAsLast)
            Combine(work.Next, work.State, size, _tableau.B, stages, work);
        return work.Next;
    }

    /// <summary>Goes on from the end of a step.</summary>
    private void Accept(double time, float* next, Work work)
    {
        new Span<float>(next, Width).CopyTo(new Span<float>(work.State, Width));
        if (_tableau.IsFirstSameAsLast)
            new Span<float>(work.K(_tableau.Stages - 1), Width).CopyTo(new Span<float>(work.K(0), Width));
        else
            Evaluate(time, work.State, work.K(0), work);
    }

    private double Error(Work work, float* next, double size)
    {
        double error = Norm(work.State, next, size, _tableau.Error!, work);
        if (_tableau.SecondError is not { } second || !(error > 0))
            return error;
        double other = Norm(work.State, next, size, second, work);
        return error * error / Math.Sqrt(error * error + 0.01 * other * other);
    }

    private double FirstStep(Work work, double limit)
    {
        double d1 = Norm(work.State, work.State, 1, [1], work);
        float* state = work.State;
        double h0 = InitialStep.Guess(Norm(state, state, 1, [1], &state), d1, limit);
        Combine(work.Input, work.State, _limits.Direction * h0, [1], 1, work);
        Evaluate(_limits.Direction * h0, work.Input, work.K(1), work);
        double d2 = Norm(work.State, work.State, 1, [-1, 1], work);
        return InitialStep.Choose(h0, d1, d2, _tableau.Order, limit);
    }

    private void Evaluate(double time, float* y, float* derivative, Work work)
    {
        float* x = y;
        for (int i = 0; i < _layers.Length; i++)
        {
            PackedLinear layer = _layers[i];
            bool isLast = i == _layers.Length - 1;
            float* target = isLast ? derivative : work.Hidden(i % 2);
            float* bias = null;
            if (_timeWeights[i] is { } weights)
                bias = MoveBias(layer, weights, (float)time, work.Hidden(2));
            layer.Apply(x, 0, 1, target, 0, bias);
            if (!isLast)
                ActivationMap.Apply(_activation, target, layer.Width);
            x = target;
        }
    }

    /// <summary>A concatenated or added time amounts to a bias that moves with it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float* MoveBias(PackedLinear layer, float[] weights, float time, float* target)
    {
        ReadOnlySpan<float> bias = layer.Bias;
        var t = new Vector<float>(time);
        for (int i = 0; i < weights.Length; i += Vector<float>.Count)
            (new Vector<float>(bias[i..]) + t * new Vector<float>(weights, i)).Store(target + i);
        return target;
    }

    /// <summary>target = y + Σ_j h w_j k_j.</summary>
    private void Combine(float* target, float* y, double h, ReadOnlySpan<double> weights, int count, Work work)
    {
        float** k = stackalloc float*[count];
        StateKernels.Combine(target, y, h, weights[..count], work.Stages(k, count), Width);
    }

    /// <summary>The root of the mean of squares of Σ_j h w_j k_j over atol + rtol max(|y0|, |y1|).</summary>
    private double Norm(float* y0, float* y1, double h, ReadOnlySpan<double> weights, Work work)
    {
        float** k = stackalloc float*[weights.Length];
        return Norm(y0, y1, h, weights, work.Stages(k, weights.Length));
    }

    private double Norm(float* y0, float* y1, double h, ReadOnlySpan<double> weights, float** k) =>
        Math.Sqrt(StateKernels.ScaledError(
            y0, y1, h, weights, k, Features, _options.RelativeTolerance, _options.AbsoluteTolerance, maximum: false) / Features);

    private bool IsFinite(float* state)
    {
        foreach (float value in new ReadOnlySpan<float>(state, Features))
            if (!float.IsFinite(value))
                return false;
        return true;
    }

    /// <summary>The memory that a solve works in.</summary>
    private readonly struct Work(float* state, float* scratch, int width, int hiddenWidth, int stages)
    {
        public float* State { get; } = state;

        public float* Next { get; } = scratch + (nint)stages * width;

        public float* Input { get; } = scratch + (nint)(stages + 1) * width;

        public float* K(int stage) => scratch + (nint)stage * width;

        /// <summary>The addresses of the first stages.</summary>
        public float** Stages(float** target, int count)
        {
            for (int i = 0; i < count; i++)
                target[i] = K(i);
            return target;
        }

        public float* Hidden(int index) => scratch + (nint)(stages + 2) * width + (nint)index * hiddenWidth;
    }
}
