using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A layer that is continuous in depth: the state that an ordinary differential equation reaches at its end time when the input is its
/// initial state. May serve several threads at once.
/// </summary>
public sealed class OdeBlock : Module<Tensor, Tensor>
{
    private readonly Module<Tensor, Tensor, Tensor> _dynamics;

    /// <summary>Creates a block on the time interval [0, <paramref name="endTime"/>].</summary>
    /// <param name="dynamics">f(t, y); the block owns it.</param>
    /// <param name="endTime">End of the interval, not zero; negative runs backward in time.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <param name="augmentation">
    /// Dimensions that the state has beside those of the input, which the dynamics must expect; the block owns it. Null for none.
    /// </param>
    /// <exception cref="ArgumentException">The end time is zero or not finite, or an option makes no sense.</exception>
    public OdeBlock(
        Module<Tensor, Tensor, Tensor> dynamics, double endTime = 1, OdeSolverOptions? options = null,
        StateAugmentation? augmentation = null)
        : base(nameof(OdeBlock))
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        if (endTime == 0 || !double.IsFinite(endTime))
            throw new ArgumentOutOfRangeException(nameof(endTime), endTime, "The end time must be a finite number other than zero.");
        options ??= new OdeSolverOptions();
        options.Validate();
        _dynamics = dynamics;
        EndTime = endTime;
        Options = options;
        register_module("dynamics", dynamics);
        Augmentation = augmentation;
        if (augmentation is not null)
            register_module("augmentation", augmentation);
    }

    /// <summary>f(t, y).</summary>
    public Module<Tensor, Tensor, Tensor> Dynamics => _dynamics;

    /// <summary>How to solve.</summary>
    public OdeSolverOptions Options { get; }

    /// <summary>End of the time interval, which starts at 0.</summary>
    public double EndTime { get; }

    /// <summary>The dimensions of the state beside those of the input; null for none.</summary>
    public StateAugmentation? Augmentation { get; }

    /// <summary>The state at the end time.</summary>
    /// <param name="input">The initial state, shape <c>[batch, …]</c>, before its augmentation.</param>
    /// <returns>The final state, in the same shape, with the further dimensions of <see cref="Augmentation"/>.</returns>
    /// <exception cref="OdeSolverException">The problem cannot be solved; the message says why and what to try.</exception>
    public override Tensor forward(Tensor input)
    {
        using OdeSolution solution = Solve(input);
        return solution.Final;
    }

    /// <summary>The dynamics, the time interval and the solver.</summary>
    /// <returns>For instance “OdeBlock(DenseDynamics(2, 16, 2; Tanh; time Add), t from 0 to 1, dopri5, rtol 1e-05, atol 1e-06)”.</returns>
    public override string ToString() =>
        $"{nameof(OdeBlock)}({(_dynamics is IAnalyticDynamics ? _dynamics.ToString() : _dynamics.GetName())}, "
        + $"t from 0 to {OptionText.Of(EndTime)}, {Options}{(Augmentation is null ? "" : $", {Augmentation}")})";

    /// <summary>Solves and tells the cost, or solves in another way.</summary>
    /// <param name="input">The initial state, shape <c>[batch, …]</c>, before its augmentation.</param>
    /// <param name="options">How to solve; null for the block's own <see cref="Options"/>.</param>
    /// <returns>The states at 0 and at the end time, shape <c>[2, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="OdeSolverException">The problem cannot be solved; the message says why and what to try.</exception>
    public OdeSolution Solve(Tensor input, OdeSolverOptions? options = null) => SolveTo(EndTime, input, options ?? Options);

    /// <summary>The same up to another time.</summary>
    internal OdeSolution SolveTo(double endTime, Tensor input, OdeSolverOptions options)
    {
        if (Augmentation is null)
            return Ode.Solve(_dynamics, input, 0, endTime, options);
        using Tensor state = Augment(input);
        return Ode.Solve(_dynamics, state, 0, endTime, options);
    }

    /// <summary>The equation's initial state of an input: itself, or with the further dimensions; the caller's in the second
    /// case.</summary>
    internal Tensor Augment(Tensor input) => Augmentation is null ? input : Augmentation.call(input);
}
