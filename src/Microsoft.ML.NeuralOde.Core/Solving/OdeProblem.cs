using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>An initial value problem as the user posed it, checked.</summary>
/// <param name="Equation">f(t, y).</param>
/// <param name="InitialState">y at the first output time.</param>
/// <param name="Times">The output times as a tensor, where they may carry derivatives; else null.</param>
/// <param name="Grid">The output times as numbers.</param>
/// <param name="Options">How to solve.</param>
/// <param name="Gradient">How derivatives are computed, where they are wanted.</param>
internal sealed record OdeProblem(
    VectorField Equation, Tensor InitialState, Tensor? Times, TimeGrid Grid, OdeSolverOptions Options, GradientMethod Gradient)
{
    /// <summary>What the steps cost beside the loss, so that it has gradients; null for nothing.</summary>
    public Methods.StepPenalty? Penalty { get; init; }

    /// <summary>Where the cost is counted.</summary>
    public SolverStatistics Statistics { get; init; } = new();

    /// <summary>What f depends on besides its arguments, and may get gradients.</summary>
    public IReadOnlyList<Tensor> Parameters => Equation.Parameters;

    /// <summary>Whether each row of the batch has its own steps.</summary>
    public bool IsPerRow => Options.PerRow && Options.Method.IsAdaptive && Options.StepSize is null;

    public bool TimesRequireGradient => Times is { requires_grad: true };

    /// <summary>
    /// f at a time and a state of the whole batch, outside the solve: neither counted nor checked, and the state is a copy without a graph.
    /// </summary>
    public Tensor? EvaluateAside(double time, Tensor state)
    {
        Tensor copy = state.detach().clone();
        var clock = new Clock(Grid, copy, IsPerRow);
        var times = new double[IsPerRow ? copy.shape[0] : 1];
        Array.Fill(times, time);
        return Equation.EvaluatePlainly(clock.Tensor(times), copy);
    }

    /// <summary>Whether f gives other values each time because it draws random numbers: evaluated twice at the ends of the solve.</summary>
    /// <param name="initial">The state at the first output time, of the whole batch.</param>
    /// <param name="final">That at the last; null where it is not known.</param>
    public bool DrawsRandomNumbers(Tensor initial, Tensor? final)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var undisturbed = new Undisturbed(Equation);
        return Differs(Grid.Start, initial) || (final is not null && Differs(Grid.End, final));

        bool Differs(double time, Tensor state)
        {
            if (EvaluateAside(time, state) is not { } first || EvaluateAside(time, state) is not { } second)
                return false;
            return !first.nan_to_num().eq(second.nan_to_num()).all().item<bool>();
        }
    }

    /// <summary>The gradient method evaluates f again, with other random numbers: what to say.</summary>
    public ArgumentException RandomNumbersRefused() => new(
        $"The right-hand side draws random numbers at each evaluation{(Equation.Reach.Dropout is { } dropout ? $" ({dropout})" : "")}, and "
        + $"GradientMethod '{Gradient.Name}' evaluates it again on the way back, with other numbers: its gradients would be wrong. Take "
        + $"GradientMethod.Direct(), {(Options.Method.IsReversible ? "or" : "or Checkpointed(),")} put the module into evaluation mode "
        + "(eval()), or draw the numbers once, before the solve.");

    /// <summary>Solves without a graph.</summary>
    public OdeSolution SolveWithoutGradient(IStepRecorder? recorder = null)
    {
        using IDisposable noGrad = no_grad();
        using Tensor initial = InitialState.detach();
        PenaltyRecorder? penalties = Penalty is null ? null : new PenaltyRecorder(Penalty, recorder);
        OdeSolution solution = Integrate(
            new IntegrationTask(Equation, initial, Grid, Options, Statistics, IsDifferentiable: false, penalties ?? recorder));
        solution.Penalty = penalties?.Take();
        return solution;
    }

    /// <summary>Solves with the graph that the gradient method makes, or without one.</summary>
    public OdeSolution Solve(bool withGradient) => withGradient ? Gradient.Solve(this) : SolveWithoutGradient();

    public static OdeSolution Integrate(IntegrationTask task)
    {
        using Integrator integrator = Integrator.Create(task);
        Tensor states = integrator.Run();
        return new OdeSolution(states, task.Statistics, integrator.Status);
    }
}
