using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>An initial value problem as the user posed it, checked.</summary>
/// <param name="Function">f(t, y).</param>
/// <param name="InitialState">y at the first output time.</param>
/// <param name="Times">The output times as a tensor, where they may carry derivatives; else null.</param>
/// <param name="Grid">The output times as numbers.</param>
/// <param name="Parameters">What f depends on besides its arguments, and may get gradients.</param>
/// <param name="Options">How to solve.</param>
/// <param name="Gradient">How derivatives are computed, where they are wanted.</param>
internal sealed record OdeProblem(
    Func<Tensor, Tensor, Tensor> Function, Tensor InitialState, Tensor? Times, TimeGrid Grid, IReadOnlyList<Tensor> Parameters, OdeSolverOptions Options,
    GradientMethod Gradient)
{
    private Reachable? _reach;

    /// <summary>Where the cost is counted.</summary>
    public SolverStatistics Statistics { get; init; } = new();

    /// <summary>The rows for which <see cref="Function"/> is evaluated.</summary>
    public RowSelection Rows { get; init; } = new();

    /// <summary>What <see cref="Function"/> can reach.</summary>
    public Reachable Reach => _reach ??= Reachable.From(KnownFunction.Of(Function) is { Module: { } module } ? module : Function);

    /// <summary>Whether evaluations may change more than they return: built-in dynamics do not.</summary>
    public bool MayDisturb => KnownFunction.Of(Function) is not { IsComplete: true };

    /// <summary>Buffers that evaluations may change, such as the running statistics of batch normalisation.</summary>
    public IEnumerable<Tensor> Buffers => !MayDisturb ? [] : KnownFunction.Of(Function)?.Module is { } module ? module.buffers() : Reach.Buffers;

    /// <summary>Whether each row of the batch has its own steps.</summary>
    public bool IsPerRow => Options.PerRow && Options.Method.IsAdaptive && Options.StepSize is null;

    public bool TimesRequireGradient => Times is { requires_grad: true };

    /// <summary>f at a time and a state of the whole batch, outside the solve: neither counted nor checked, and the state is a copy without a graph.</summary>
    public Tensor? EvaluateAside(double time, Tensor state)
    {
        Rows.Rows = null;
        Tensor copy = state.detach().clone();
        var clock = new Clock(Grid, copy, IsPerRow);
        var times = new double[IsPerRow ? copy.shape[0] : 1];
        Array.Fill(times, time);
        return (KnownFunction.Of(Function)?.Plain ?? Function)(clock.Tensor(times), copy);
    }

    /// <summary>Whether f gives other values each time because it draws random numbers: evaluated twice at the ends of the solve.</summary>
    /// <param name="initial">The state at the first output time, of the whole batch.</param>
    /// <param name="final">That at the last; null where it is not known.</param>
    public bool DrawsRandomNumbers(Tensor initial, Tensor? final)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var undisturbed = new Undisturbed(this);
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
        $"The right-hand side draws random numbers at each evaluation{(Reach.Dropout is { } dropout ? $" ({dropout})" : "")}, and GradientMethod '{Gradient.Name}' evaluates it "
        + $"again on the way back, with other numbers: its gradients would be wrong. Take GradientMethod.Direct(), {(Options.Method.IsReversible ? "or" : "or Checkpointed(),")} put the module "
        + "into evaluation mode (eval()), or draw the numbers once, before the solve.");

    /// <summary>Solves without a graph.</summary>
    public OdeSolution SolveWithoutGradient(IStepRecorder? recorder = null)
    {
        using IDisposable noGrad = no_grad();
        using Tensor initial = InitialState.detach();
        return Integrate(new IntegrationTask(Function, initial, Grid, Options, Statistics, IsDifferentiable: false, recorder) { Rows = Rows });
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
