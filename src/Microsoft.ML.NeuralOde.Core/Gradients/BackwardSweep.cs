using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>A tensor and what it is multiplied with in each lane.</summary>
internal readonly record struct Term(Tensor Tensor, double[] Weights);

/// <summary>What the reversal of one step and of the next have in common: the problem, and where gradients add up.</summary>
internal sealed class BackwardSweep : IDisposable
{
    private readonly Dictionary<int, StateArithmetic> _arithmetic = [];
    private readonly HeapGuard _heap;
    private PullbackSource _pullbacks;
    private int[]? _rows;

    /// <param name="problem">The problem.</param>
    /// <param name="like">A tensor like the state.</param>
    /// <param name="withTimes">Whether gradients of the output times are wanted.</param>
    /// <param name="statistics">Where evaluations are counted.</param>
    /// <param name="pullbacks">What evaluations of the solve belong to that were kept, which becomes the sweep's; null for none.</param>
    public BackwardSweep(OdeProblem problem, Tensor like, bool withTimes, SolverStatistics statistics, PullbackSource? pullbacks = null)
    {
        Problem = problem;
        Statistics = statistics;
        _heap = new HeapGuard(like);
        Parameters = new ParameterSums(problem.Parameters);
        Times = withTimes ? new TimeSums(problem.Grid) : null;
        TrackedGrid = problem.Grid;
        if (withTimes)
        {
            TimeLeaves = Array.ConvertAll(problem.Grid.Values, value =>
                tensor(value, like.dtype, like.device).requires_grad_().DetachFromDisposeScope());
            TrackedGrid = problem.Grid.Track(TimeLeaves);
        }
        IsPerRow = problem.IsPerRow;
        Clock = new Clock(problem.Grid, like, IsPerRow, problem.Options.Discontinuities);
        Equation = problem.Equation;
        _pullbacks = pullbacks ?? new PullbackSource(Equation, Parameters.Active);
    }

    public OdeProblem Problem { get; }

    public SolverStatistics Statistics { get; }

    public ParameterSums Parameters { get; }

    /// <summary>The gradients of the output times; null where none are wanted.</summary>
    public TimeSums? Times { get; }

    /// <summary>Whether each row of the batch has its own steps.</summary>
    public bool IsPerRow { get; }

    public Clock Clock { get; }

    /// <summary>The output times as leaves of graphs; none where their gradients are not wanted.</summary>
    public Tensor[] TimeLeaves { get; } = [];

    /// <summary>The output times, made of <see cref="TimeLeaves"/> if there are any.</summary>
    public TimeGrid TrackedGrid { get; }

    /// <summary>The gradient of what the steps cost, in the shape of the state; null where there is none.</summary>
    public Tensor? PenaltyGradient { get; set; }

    /// <summary>The right-hand side of the rows that the sweep stands at.</summary>
    public VectorField Equation { get; private set; }

    /// <summary>
    /// How steps of a method are made again. There is no smaller step to fall back on: as with fixed steps, the equations of implicit
    /// methods are solved to rounding.
    /// </summary>
    public OdeSolverOptions OptionsFor(OdeMethod method) =>
        Problem.Options with { Method = method, StepSize = Problem.Options.StepSize ?? 1 };

    /// <summary>From now on states have these rows of the batch; null for all. Evaluations that were begun must be done.</summary>
    public void Keep(int[]? rows)
    {
        if (ReferenceEquals(rows, _rows) || (rows is not null && _rows is not null && rows.AsSpan().SequenceEqual(_rows)))
            return;
        _rows = rows;
        VectorField equation = Problem.Equation.OfRows(rows);
        if (ReferenceEquals(equation, Equation))
            return;
        Equation = equation;
        _pullbacks.Dispose();
        _pullbacks = new PullbackSource(equation, Parameters.Active);
    }

    /// <summary>The state arithmetic for a number of lanes, without a graph.</summary>
    public StateArithmetic Arithmetic(Tensor state, int lanes)
    {
        if (_arithmetic.TryGetValue(lanes, out StateArithmetic? known))
            return known;
        return _arithmetic[lanes] = StateArithmetic.Create(state, lanes, differentiable: false);
    }

    /// <summary>f at a fraction of a step, so that its vector–Jacobian product can be asked for.</summary>
    public Pullback.Evaluation Evaluate(StepSpan span, double fraction, Tensor state)
    {
        Statistics.BackwardEvaluations++;
        return _pullbacks.For(state).Evaluate(span.At(fraction), Clock, state, Times is not null);
    }

    /// <summary>
    /// Pulls a cotangent of f back: adds the gradients of parameters and times, and returns that of the state, which is the caller's. Of
    /// the evaluation only the value is left.
    /// </summary>
    public Tensor Pull(Pullback.Evaluation evaluation, Tensor cotangent, StepSpan span, double fraction)
    {
        Tensor state = evaluation.PullState(cotangent, out Tensor? derivative);
        evaluation.AddParameters(Parameters);
        evaluation.Close();
        if (derivative is not null)
        {
            using Tensor flat = derivative.reshape(-1);
            double[] values = Numbers(flat);
            for (int lane = 0; lane < values.Length; lane++)
            {
                AddTime(span.Start[lane], (1 - fraction) * values[lane]);
                AddTime(span.End[lane], fraction * values[lane]);
            }
            derivative.Dispose();
        }
        return state;
    }

    /// <summary>To be called when a step was reversed.</summary>
    public void AfterStep() => _heap.AfterStep();

    public void AddTime(double time, double value)
    {
        if (value != 0)
            Times!.Add(time, value);
    }

    /// <summary>Adds the gradients of the sizes of a step, lane by lane.</summary>
    public void AddSizes(StepSpan span, double[] values)
    {
        for (int lane = 0; lane < values.Length; lane++)
        {
            AddTime(span.End[lane], values[lane]);
            AddTime(span.Start[lane], -values[lane]);
        }
    }

    /// <summary>Adds the gradients of the place of an output, a fraction of the step that depends on three times.</summary>
    /// <param name="output">The output.</param>
    /// <param name="span">The step.</param>
    /// <param name="slopes">Gradient times slope, lane by lane: the derivative with respect to the fraction, divided by the step
    /// size.</param>
    public void AddPlace(StepOutput output, StepSpan span, double[] slopes)
    {
        for (int lane = 0; lane < slopes.Length; lane++)
        {
            double fraction = output.Fraction(span, lane);
            AddTime(output.Times[lane], slopes[lane]);
            AddTime(span.Start[lane], (fraction - 1) * slopes[lane]);
            AddTime(span.End[lane], -fraction * slopes[lane]);
        }
    }

    /// <summary>Σ w a, lane by lane; owned by the arithmetic of these lanes.</summary>
    public Tensor Sum(int lanes, params IReadOnlyList<Term> terms)
    {
        var tensors = new Tensor[terms.Count];
        var weights = new double[lanes * terms.Count];
        for (int j = 0; j < tensors.Length; j++)
        {
            tensors[j] = terms[j].Tensor;
            for (int lane = 0; lane < lanes; lane++)
                weights[lane * tensors.Length + j] = terms[j].Weights[lane];
        }
        return Arithmetic(tensors[0], lanes).Combine(null, null, weights, tensors);
    }

    /// <summary>Numbers to select rows with.</summary>
    public static Tensor Index(int[] values, Device device) =>
        tensor(Array.ConvertAll(values, value => (long)value), ScalarType.Int64, device);

    /// <summary>⟨a, b⟩, lane by lane.</summary>
    public static double[] Dots(Tensor a, Tensor b, int lanes)
    {
        using DisposeScope scope = NewDisposeScope();
        return Numbers((a * b).reshape(lanes, -1).sum([1L], type: ScalarType.Float64));
    }

    public void Dispose()
    {
        _pullbacks.Dispose();
        Parameters.Dispose();
        foreach (Tensor leaf in TimeLeaves)
            leaf.Dispose();
        foreach (StateArithmetic arithmetic in _arithmetic.Values)
            arithmetic.Dispose();
        _arithmetic.Clear();
    }

    private static double[] Numbers(Tensor tensor)
    {
        using Tensor numbers = tensor.to(ScalarType.Float64, CPU);
        return numbers.data<double>().ToArray();
    }
}
