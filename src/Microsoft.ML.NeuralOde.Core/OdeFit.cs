using Microsoft.ML.NeuralOde.Fitting;

namespace Microsoft.ML.NeuralOde;

/// <summary>A right-hand side f(t, y; p) with parameters to be found: writes dy/dt.</summary>
/// <param name="time">t.</param>
/// <param name="state">y, one number a component.</param>
/// <param name="parameters">p, in the order in which they are given to the fit.</param>
/// <param name="derivative">Where dy/dt goes; holds NaN before.</param>
public delegate void OdeModel(double time, ReadOnlySpan<double> state, ReadOnlySpan<double> parameters, Span<double> derivative);

/// <summary>What is seen of a state: writes one number a column of the observations.</summary>
/// <param name="time">t.</param>
/// <param name="state">y, one number a component.</param>
/// <param name="parameters">p.</param>
/// <param name="observed">Where the values go; holds NaN before.</param>
public delegate void OdeObservation(double time, ReadOnlySpan<double> state, ReadOnlySpan<double> parameters, Span<double> observed);

/// <summary>Finds the parameters of a differential equation from observed trajectories.</summary>
/// <remarks>
/// The weighted squares of the residuals are minimised by the method of Levenberg and Marquardt (J. J. Moré, 1978), or by L-BFGS, over
/// solves in plain memory; the derivatives come from the sensitivity equations, which are integrated along with the state and ask nothing
/// of the user: the derivative of f along each sensitivity is a central difference. Long or chaotic records are cut into segments that are
/// solved from states of their own, whose ends are drawn together (multiple shooting; H. G. Bock, Recent advances in parameter
/// identification techniques for ODE, 1983): see <see cref="OdeFitOptions.Segments"/>.
/// </remarks>
public static class OdeFit
{
    /// <summary>Fits the parameters.</summary>
    /// <param name="model">f(t, y; p).</param>
    /// <param name="parameters">The parameters with their first guesses and bounds, at least one.</param>
    /// <param name="trajectories">What was observed: one record or several, each with its own times.</param>
    /// <param name="options">How to fit; null for the defaults.</param>
    /// <returns>The parameters with their standard errors, and how well they explain the observations.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The equation cannot be solved with the first guesses.</exception>
    /// <example>
    /// <code>
    /// OdeFitResult fit = OdeFit.Fit(
    ///     (t, y, p, dy) => { dy[0] = y[0] * (p[0] - p[1] * y[1]); dy[1] = y[1] * (p[3] * y[0] - p[2]); },
    ///     [
    ///         OdeParameter.Positive("growth", 1), OdeParameter.Positive("predation", 1),
    ///         OdeParameter.Positive("death", 1), OdeParameter.Positive("conversion", 1),
    ///     ],
    ///     [new OdeTrajectory(times, values)]);
    /// </code>
    /// </example>
    public static OdeFitResult Fit(
        OdeModel model, IReadOnlyList<OdeParameter> parameters, IReadOnlyList<OdeTrajectory> trajectories, OdeFitOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new OdeFitOptions();
        FitChecks.Check(parameters, trajectories, options);
        return new ShootingFit(model, parameters, trajectories, options).Run();
    }

    /// <summary>Trains a network as right-hand side: its weights are those of the fitted equation afterwards.</summary>
    /// <remarks>
    /// The mean square of the residuals is minimised by L-BFGS over solves on tensors, whose rows are segments of the records: short ones
    /// at first, ever longer ones then (multiple shooting), whole records at last. Take a smooth network of few weights in float64, such as
    /// a <see cref="DenseDynamics"/> with tanh; where it is random, seed torch before it is made.
    /// </remarks>
    /// <param name="dynamics">f(t, y): dy/dt of states <c>[rows, components]</c>; trained in place.</param>
    /// <param name="trajectories">What was observed: one record or several, each with its own times.</param>
    /// <param name="options">How to fit; null for the defaults.</param>
    /// <returns>How well the network explains the observations, and a way to go on with it.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The equation cannot be solved with the weights as they are.</exception>
    /// <example>
    /// <code>
    /// var network = new DenseDynamics(2, [16], time: TimeDependence.None);
    /// network.to(torch.float64);
    /// OdeNetworkFitResult fit = OdeFit.Fit(network, [new OdeTrajectory(times, values)]);
    /// double[,] ahead = fit.Solve(fit.InitialStates[0], later);
    /// </code>
    /// </example>
    public static OdeNetworkFitResult Fit(
        nn.Module<Tensor, Tensor, Tensor> dynamics, IReadOnlyList<OdeTrajectory> trajectories, OdeNetworkFitOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        options ??= new OdeNetworkFitOptions();
        FitChecks.Check(dynamics, trajectories, options);
        return new NetworkFit(dynamics, trajectories, options).Run();
    }
}
