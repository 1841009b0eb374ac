using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The continuous adjoint, solved backward together with the state.</summary>
internal sealed class BacksolveAdjoint : GradientMethod
{
    private readonly OdeMethod? _method;
    private readonly double? _relativeTolerance;
    private readonly double? _absoluteTolerance;

    public BacksolveAdjoint(OdeMethod? method, double? relativeTolerance, double? absoluteTolerance)
        : base("adjoint")
    {
        if (method is not null && method.AdjointMethod != method)
            throw new ArgumentException(
                $"The adjoint's method is '{method.Name}'; it must be a Runge–Kutta method such as OdeMethod.Dopri5 or OdeMethod.Radau5.",
                nameof(method));
        RequireTolerance(relativeTolerance, nameof(relativeTolerance));
        RequireTolerance(absoluteTolerance, nameof(absoluteTolerance));
        _method = method;
        _relativeTolerance = relativeTolerance;
        _absoluteTolerance = absoluteTolerance;
    }

    /// <inheritdoc/>
    public override string ToString() => Describe(
        _method is null ? null : $"method {_method.Name}",
        _relativeTolerance is { } relative ? $"rtol {OptionText.Of(relative)}" : null,
        _absoluteTolerance is { } absolute ? $"atol {OptionText.Of(absolute)}" : null);

    public override IReadOnlyList<Citation> Citations => [Publications.NeuralOde];

    internal override OdeSolution Solve(OdeProblem problem)
    {
        OdeSolverOptions backward = OnTheWayBack(problem.Options);
        backward.Method.CheckType(problem.InitialState, "initialState");
        using var draws = RandomDraws.Watch(problem);
        OdeSolution solution = problem.SolveWithoutGradient();
        draws?.Refuse(solution);
        return new AdjointSolve(problem, solution, backward, IsMethodGiven).Attach();
    }

    /// <summary>Whether the user gave the method of the backward solve.</summary>
    public bool IsMethodGiven => _method is not null;

    /// <summary>How the way back is solved.</summary>
    public OdeSolverOptions OnTheWayBack(OdeSolverOptions forward) => forward with
    {
        Method = _method ?? forward.Method.AdjointMethod,
        RelativeTolerance = _relativeTolerance ?? forward.RelativeTolerance,
        AbsoluteTolerance = _absoluteTolerance ?? forward.AbsoluteTolerance,
        OnStepLimit = StepLimitBehavior.Throw,
        FirstStep = null,
        // A parameter's gradient sums over rows at common times: the backward sweep steps the batch as one.
        PerRow = false,
        Progress = null,
    };

    private static void RequireTolerance(double? value, string name)
    {
        if (value is { } tolerance && !(tolerance >= 0 && double.IsFinite(tolerance)))
            throw new ArgumentOutOfRangeException(name, value, "A tolerance of the adjoint must be zero or a positive number.");
    }
}

/// <summary>One solve and the backward sweep that belongs to it.</summary>
internal sealed class AdjointSolve : DifferentiableSolve
{
    private readonly OdeSolverOptions _options;
    private readonly bool _isMethodGiven;
    private readonly Tensor _states;

    /// <param name="problem">The problem.</param>
    /// <param name="solution">Its solution.</param>
    /// <param name="options">How to solve backward.</param>
    /// <param name="isMethodGiven">Whether the user gave the method of that.</param>
    public AdjointSolve(OdeProblem problem, OdeSolution solution, OdeSolverOptions options, bool isMethodGiven)
        : base(problem, solution)
    {
        _options = options;
        _isMethodGiven = isMethodGiven;
        _states = solution.States.detach();
    }

    protected override IReadOnlyList<Tensor> Saved => [_states];

    /// <summary>Whether the backward solve takes about the steps that the solve took.</summary>
    private bool IsSolvedAlike =>
        !Problem.Options.PerRow && _options.Method == Problem.Options.Method
        && _options.RelativeTolerance == Problem.Options.RelativeTolerance
        && _options.AbsoluteTolerance == Problem.Options.AbsoluteTolerance;

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        using var sums = new ParameterSums(Problem.Parameters);
        double[]? times = TimesNeedGradient ? new double[Problem.Grid.Count] : null;
        var statistics = new SolverStatistics();
        Tensor adjoint;
        if (Outputs is null)
        {
            adjoint = Backward(saved[0], gradient, Problem.Grid.Count - 1, null, sums, times, statistics);
        }
        else
        {
            // Each row goes back from where it came to: one that failed must not spoil what the others say of the parameters.
            adjoint = zeros_like(gradient[0]);
            foreach ((int output, int[]? rows) in Outputs.Groups())
            {
                using DisposeScope scope = NewDisposeScope();
                if (rows is null)
                {
                    adjoint.copy_(Backward(saved[0], gradient, output, null, sums, times, statistics));
                    continue;
                }
                Tensor index = BackwardSweep.Index(rows, adjoint.device);
                adjoint.index_copy_(0, index,
                    Backward(saved[0].index_select(1, index), gradient.index_select(1, index), output, rows, sums, times, statistics));
            }
        }
        Solution.Statistics.BackwardEvaluations += statistics.FunctionEvaluations;
        return new Gradients(
            StateNeedsGradient ? adjoint.MoveToOuterDisposeScope() : null,
            TimesGradient(times)?.MoveToOuterDisposeScope(),
            Array.ConvertAll(sums.Finish(), sum => sum?.MoveToOuterDisposeScope()));
    }

    /// <summary>
    /// λ at the first output time, from that at an output, for some rows of the batch; adds to the gradients of parameters and times.
    /// </summary>
    private Tensor Backward(
        Tensor states, Tensor gradient, int output, int[]? rows, ParameterSums sums, double[]? times, SolverStatistics statistics)
    {
        VectorField equation = Problem.Equation.OfRows(rows);
        TimeGrid grid = Problem.Grid;
        OdeSolverOptions options = rows is null ? _options : _options with
        {
            RelativeTolerances = OfRows(_options.RelativeTolerances, states, rows),
            AbsoluteTolerances = OfRows(_options.AbsoluteTolerances, states, rows),
        };
        var methods = new IntervalMethods(
            options, _isMethodGiven, IsSolvedAlike && Outputs is null ? StepGuess.ForWayBack(Solution.Statistics) : null);
        Tensor adjoint = gradient[output];
        var heap = new HeapGuard(adjoint);
        for (int i = output; i > 0; i--)
        {
            using DisposeScope scope = NewDisposeScope();
            if (times is not null)
                times[i] += Rate(equation, grid.Values[i], states[i], gradient[i], statistics);
            double size = RootMeanSquare(adjoint);
            // λ is solved for in units of its own size, so that the absolute tolerance means the same for every loss.
            Tensor before = size == 0 ? adjoint
                : Sweep(equation, TimeGrid.Of(grid.Values[i], grid.Values[i - 1]), states[i], adjoint.Over(size), size, methods, sums,
                    statistics).Times(size);
            if (times is not null && i == 1)
                times[0] -= Rate(equation, grid.Values[0], states[0], before, statistics);
            Tensor last = adjoint;
            adjoint = before.Plus(gradient[i - 1]).MoveToOuterDisposeScope();
            last.Dispose();
            heap.AfterStep();
        }
        return adjoint;
    }

    /// <summary>Tolerances for some rows, where they differ from row to row; in the current scope.</summary>
    private static Tensor? OfRows(Tensor? tolerances, Tensor states, int[] rows) =>
        tolerances is null || tolerances.dim() < states.dim() - 1 || tolerances.shape[0] == 1 ? tolerances
        : tolerances.index_select(0, BackwardSweep.Index(rows, tolerances.device));

    /// <summary>Solves for y and λ over one interval, adds the parameters' gradients and returns λ at its beginning.</summary>
    public static Tensor Sweep(
        VectorField equation, TimeGrid interval, Tensor state, Tensor adjoint, double size, IntervalMethods methods, ParameterSums sums,
        SolverStatistics statistics) =>
        methods.Solve(Math.Abs(interval.End - interval.Start), statistics, (options, guess) =>
            Sweep(equation, interval, state, adjoint, size, options, sums, guess, statistics));

    private static Tensor Sweep(
        VectorField equation, TimeGrid interval, Tensor state, Tensor adjoint, double size, OdeSolverOptions options, ParameterSums sums,
        StepGuess? guess, SolverStatistics statistics)
    {
        // What the solve, or the interval before, tells of the steps is worth more than a guess from derivatives, which costs an
        // evaluation.
        var task = new IntegrationTask(equation, state, interval, options, statistics, IsDifferentiable: false)
        {
            Guess = guess,
            StepsBefore = statistics.AcceptedSteps + statistics.RejectedSteps,
        };
        return options.Method.SolvesEquations ? SweepByRows(task, adjoint, size, sums) : SweepExplicitly(task, adjoint, size, sums);
    }

    /// <param name="task">The problem for y alone.</param>
    /// <param name="adjoint">λ in units of its size.</param>
    /// <param name="size">Its size.</param>
    /// <param name="sums">Where parameter gradients are added.</param>
    private static Tensor SweepExplicitly(IntegrationTask task, Tensor adjoint, double size, ParameterSums sums)
    {
        using var system = new AdjointSystem(task.Equation, sums.Active);
        using Tensor start = stack([task.InitialState, adjoint]);
        using OdeSolution solution = OdeProblem.Integrate(
            task with { Equation = system, InitialState = start, Recorder = new Quadrature(Accumulate) });
        return solution.States[1][1].clone();

        void Accumulate(AcceptedStep step)
        {
            StepStages stages = step.Stepper.Stages;
            for (int i = 0; i < stages.Derivatives.Length; i++)
                if (stages.B[i] != 0)
                    system.AddParameters(stages.Derivatives[i], sums, -size * step.Attempt.Span.Size[0] * stages.B[i]);
            system.Forget(stages.IsLastNext ? stages.Derivatives[^1] : null);
        }
    }

    private static Tensor SweepByRows(IntegrationTask task, Tensor adjoint, double size, ParameterSums sums)
    {
        var system = new RowwiseAdjointSystem(task.Equation, task.Options.Jacobian, task.InitialState, sums);
        using Tensor start = system.Join(task.InitialState, adjoint);
        OdeSolverOptions options = task.Options with
        {
            RelativeTolerances = system.Tolerances(task.Options.RelativeTolerances),
            AbsoluteTolerances = system.Tolerances(task.Options.AbsoluteTolerances),
            Jacobian = system.Jacobian,
        };
        using OdeSolution solution = OdeProblem.Integrate(task with
        {
            Equation = system,
            InitialState = start,
            Options = options,
            Recorder = new Quadrature(step => system.Accumulate(step, -size)),
        });
        using Tensor end = solution.States[1];
        return system.Part(end, 1).clone();
    }

    /// <summary>The size of λ, which the host must know.</summary>
    public static double RootMeanSquare(Tensor adjoint)
    {
        using DisposeScope scope = NewDisposeScope();
        return adjoint.Squared().mean().sqrt().ToDouble();
    }

    /// <summary>gᵀ f(t, y).</summary>
    private static double Rate(VectorField equation, double time, Tensor state, Tensor gradient, SolverStatistics statistics)
    {
        statistics.FunctionEvaluations++;
        using Tensor t = Numbers.Constant(time, state.dtype, state.device);
        using Tensor derivative = RightHandSide.Own(equation, t, state);
        return (derivative * gradient).sum().ToDouble();
    }

    private sealed class Quadrature(Action<AcceptedStep> accumulate) : IStepRecorder
    {
        public void Accept(AcceptedStep step) => accumulate(step);

        public void Output(int output, int[] lanes, double[] times, bool isAtEnd)
        {
        }
    }
}
