using System.Globalization;

namespace Microsoft.ML.NeuralOde;

/// <summary>Why a solve failed.</summary>
public enum SolverFailure
{
    /// <summary>The error test asks for steps smaller than time can resolve or the options allow.</summary>
    StepSizeUnderflow,

    /// <summary>The state, the derivative or the error estimate is NaN or infinite.</summary>
    NonFinite,

    /// <summary>More steps than <see cref="OdeSolverOptions.MaximumSteps"/> would be needed.</summary>
    StepLimit,

    /// <summary>The Newton iteration of an implicit method does not converge.</summary>
    Newton,

    /// <summary>The two states that a reversible method carries have moved apart, so that neither can be trusted.</summary>
    Drift,

    /// <summary>
    /// Events that reset the state follow each other ever faster, until nothing lies between them any more that the state's type can hold:
    /// a bouncing ball that comes to rest.
    /// </summary>
    EventAccumulation,
}

/// <summary>An initial value problem could not be solved: says where, which rows, why, and what to try.</summary>
public sealed class OdeSolverException : Exception
{
    private readonly string _detail;
    private readonly bool _blowsUp;

    /// <param name="failure">What went wrong.</param>
    /// <param name="time">The time that was reached; NaN where it is not known.</param>
    /// <param name="stepSize">The size of the step that was tried from there.</param>
    /// <param name="errorNorm">Its error in units of the tolerance; NaN for none.</param>
    /// <param name="rows">The rows at fault.</param>
    /// <param name="detail">What more is known; may be empty.</param>
    /// <param name="blowsUp">Whether the rows grow beyond all bounds.</param>
    internal OdeSolverException(
        SolverFailure failure, double time, double stepSize, double errorNorm, IReadOnlyList<long> rows, string detail,
        bool blowsUp = false)
        : base(Describe(failure, time, stepSize, errorNorm, rows, detail, blowsUp))
    {
        (_detail, _blowsUp) = (detail, blowsUp);
        Failure = failure;
        Time = time;
        StepSize = stepSize;
        ErrorNorm = errorNorm;
        Rows = rows;
    }

    /// <summary>What went wrong.</summary>
    public SolverFailure Failure { get; }

    /// <summary>The time that was reached; NaN where it is not known, as of equations along paths.</summary>
    public double Time { get; }

    /// <summary>The size of the step that was tried from there.</summary>
    public double StepSize { get; }

    /// <summary>The error of that step in units of the tolerance (1 is just accepted); NaN where the method estimates none.</summary>
    public double ErrorNorm { get; }

    /// <summary>The batch rows (indices of the state's first dimension) that are at fault, at most the ten worst.</summary>
    public IReadOnlyList<long> Rows { get; }

    /// <summary>The same failure of one row of a larger batch.</summary>
    internal OdeSolverException OfRow(int row) => new(Failure, Time, StepSize, ErrorNorm, [row], _detail, _blowsUp);

    /// <summary>The same failure on another scale of time.</summary>
    internal OdeSolverException At(double time, double stepSize) => new(Failure, time, stepSize, ErrorNorm, Rows, _detail, _blowsUp);

    private static string Describe(
        SolverFailure failure, double time, double step, double norm, IReadOnlyList<long> rows, string detail, bool blowsUp)
    {
        string where = double.IsNaN(time) ? "" : string.Create(CultureInfo.InvariantCulture, $" at t = {time:G10} with step {step:G4}");
        string error = double.IsNaN(norm) ? "" : string.Create(CultureInfo.InvariantCulture, $", error {norm:G3} times the tolerance");
        string who = rows.Count switch { 0 => "", 1 => $", batch row {rows[0]}", _ => $", batch rows {string.Join(", ", rows)}" };
        if (blowsUp)
            return $"The solution blows up{where}{error}{who}: it grows beyond all bounds in finite time. " +
                $"{(detail.Length == 0 ? "" : detail + " ")}End the time interval before that, " +
                "or bound the dynamics (tanh, weight decay, gradient clipping); no tolerance and no method helps.";
        string what = failure switch
        {
            SolverFailure.EventAccumulation => "Events accumulate",
            SolverFailure.StepSizeUnderflow => "The step size became too small",
            SolverFailure.NonFinite => "The solution became NaN or infinite",
            SolverFailure.StepLimit => "The step limit was reached",
            SolverFailure.Drift => "The two states of the reversible method have moved apart",
            _ => "The Newton iteration does not converge",
        };
        string remedy = failure switch
        {
            SolverFailure.StepSizeUnderflow =>
                "Loosen the tolerances (in float32 below about 1e-6 they ask for more than the state can hold: use float64), name jumps of the " +
                "right-hand side in Discontinuities, use an implicit method if the problem is stiff, or regularise the dynamics.",
            SolverFailure.NonFinite =>
                "Check the initial state and the parameters for NaN, bound the dynamics (tanh, weight decay, gradient clipping), shorten the time " +
                "interval, or use smaller steps.",
            SolverFailure.StepLimit =>
                "Raise MaximumSteps, loosen the tolerances, or use an implicit method if the problem is stiff; OnStepLimit = ReturnPartial "
                +
                "returns what was reached.",
            SolverFailure.Drift =>
                "Take smaller steps, or an ordinary method such as OdeMethod.Dopri5 with GradientMethod.Checkpointed, which has no second state.",
            SolverFailure.EventAccumulation =>
                "Make the event terminal, or have its reset change to dynamics that stay on their side (a ball at rest), once it follows " +
                "itself that fast; or end the time interval before. OnStepLimit = ReturnPartial returns what was reached.",
            _ => "Use smaller steps or looser tolerances, or supply the exact Jacobian.",
        };
        return $"{what}{where}{error}{who}. {(detail.Length == 0 ? "" : detail + " ")}{remedy}";
    }
}
