namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>
/// What step control remembers of the last steps, and how the error of a step sets the size of the next: as a factor on the size that was
/// tried.
/// </summary>
internal sealed class ErrorHistory
{
    private const double LowestExponent = 0.1;

    /// <summary>Tolerance over error of the last accepted step and of the one before.</summary>
    private double _inverse1 = 1, _inverse2 = 1;

    /// <summary>Size of the last accepted step; 0 before the first.</summary>
    private double _lastSize;

    /// <summary>The attempt before, if it was rejected; null behind an accepted step.</summary>
    private (double Size, double Error)? _rejected;

    /// <summary>A step was accepted.</summary>
    /// <param name="controller">The step control.</param>
    /// <param name="k">Order of the error estimate plus one.</param>
    /// <param name="size">The step's size, positive.</param>
    /// <param name="error">Its error in units of the tolerance.</param>
    /// <param name="given">The factor, where the method knows better; else null.</param>
    public double Accepted(StepController controller, int k, double size, double error, double? given = null)
    {
        double inverse = 1 / Math.Max(error, 1e-10);
        double growth = _lastSize == 0 ? 1 : size / _lastSize;
        double factor = given ?? controller.Factor(inverse, _inverse1, _inverse2, growth, k);
        factor = Math.Clamp(factor, controller.MinimumFactor, _rejected is null ? controller.MaximumFactor : 1);
        (_inverse2, _inverse1, _lastSize, _rejected) = (_inverse1, inverse, size, null);
        return factor;
    }

    /// <summary>
    /// A step was rejected. Where the one before was too, both tell how the error depends on the size; at places that are not smooth it
    /// falls more slowly than the method's order says, and many small reductions would follow (K. Gustafsson, Control theoretic techniques
    /// for stepsize selection in explicit Runge–Kutta methods, ACM TOMS 17, 1991).
    /// </summary>
    public double Rejected(StepController controller, int k, double size, double error)
    {
        double exponent = _rejected is { } before && double.IsFinite(before.Error) && size < before.Size
            ? Math.Clamp(Math.Log(before.Error / error) / Math.Log(before.Size / size), LowestExponent, k) : k;
        _rejected = (size, error);
        double shrink = double.IsFinite(error) ? controller.Safety * Math.Pow(error, -1 / exponent) : 0;
        return Math.Clamp(shrink, controller.MinimumFactor, 1);
    }

    /// <summary>The next step starts afresh, behind a discontinuity.</summary>
    public void Restart() => (_inverse1, _inverse2, _lastSize) = (1, 1, 0);
}
