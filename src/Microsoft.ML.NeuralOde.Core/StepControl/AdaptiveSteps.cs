using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>
/// The steps of one solve whose size the error sets: of a batch, of a row with steps of its own, or of a state in plain memory.
/// </summary>
internal sealed class AdaptiveSteps(StepLimits limits)
{
    private readonly ErrorHistory _history = new();
    private int _nextStop;

    /// <summary>Size of the next step, positive.</summary>
    public double Size { get; private set; }

    /// <summary>Whether the step being tried was cut, or stretched a little, to end at a stop.</summary>
    public bool IsCut { get; private set; }

    /// <summary>Whether the last stop was passed.</summary>
    public bool IsOver => _nextStop == limits.Stops.Length;

    /// <summary>How long a first step at a time may be.</summary>
    public double Room(double time) =>
        IsOver ? limits.Maximum : Math.Min(Math.Abs(limits.Stops[_nextStop] - time), limits.Maximum);

    /// <summary>Sets the size of the step that starts the method, or starts it afresh, at a time.</summary>
    public void Begin(double time, double size) => Size = Math.Min(Math.Max(size, limits.Smallest(time)), limits.Maximum);

    /// <summary>Where the next step ends: one step size on, or at the next stop where that is nearer or all but reached.</summary>
    public double End(double time)
    {
        double stop = limits.Stops[_nextStop];
        double end = time + limits.Direction * Size;
        IsCut = (stop - end) * limits.Direction <= 1e-10 * Size;
        return IsCut ? stop : end;
    }

    /// <summary>A step was accepted; sets the size of the next.</summary>
    /// <param name="controller">The step control.</param>
    /// <param name="errorOrder">Order of the error estimate.</param>
    /// <param name="tried">The step's size, positive.</param>
    /// <param name="error">Its error in units of the tolerance.</param>
    /// <param name="factor">The next size in units of this one, where the method knows better; else null.</param>
    public void Accept(StepController controller, int errorOrder, double tried, double error, double? factor = null)
    {
        double next = tried * _history.Accepted(controller, Exponent(errorOrder), tried, error, factor);
        // A step that was cut to meet a stop says little about the size that the problem allows.
        Size = Math.Min(IsCut ? Math.Max(next, Size) : next, limits.Maximum);
    }

    /// <summary>A step was rejected; sets the size to try next, and says whether it is large enough to go on.</summary>
    public bool Reject(
        StepController controller, int errorOrder, double time, double tried, double error, double atMost = double.PositiveInfinity)
    {
        Size = Math.Min(tried * _history.Rejected(controller, Exponent(errorOrder), tried, error), atMost);
        return Size >= Math.Max(limits.Minimum, limits.Smallest(time));
    }

    /// <summary>
    /// Goes past the stop at which an accepted step ended, if it did; true where the method has to start afresh, behind a discontinuity.
    /// </summary>
    public bool PassStop()
    {
        if (!IsCut || ++_nextStop == limits.Stops.Length)
            return false;
        _history.Restart();
        return true;
    }

    /// <summary>The solve goes on afresh at a time; stops there are passed.</summary>
    public void Restart(double time)
    {
        _history.Restart();
        while (!IsOver && (limits.Stops[_nextStop] - time) * limits.Direction <= 8 * TimePrecision.Spacing(time, ScalarType.Float64))
            _nextStop++;
    }

    private static int Exponent(int errorOrder) => Math.Max(1, errorOrder) + 1;
}
