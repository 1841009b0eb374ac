namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>How the error of a step sets the size of the next, as factors on the size that was tried.</summary>
internal static class AdaptiveControl
{
    /// <summary>Steps below this fraction of the largest time would be lost in rounding.</summary>
    public const double TimeResolution = 1e-15;

    /// <summary>After an accepted step; the inverses are tolerance over error of it and of the two before.</summary>
    public static double Growth(StepController controller, int k, double inverse, double inverse1, double inverse2, bool wasRejected, double? given = null)
    {
        double factor = controller.Safety * Math.Pow(inverse, controller.Beta1 / k) * Math.Pow(inverse1, controller.Beta2 / k) * Math.Pow(inverse2, controller.Beta3 / k);
        return Math.Clamp(given ?? factor, controller.MinimumFactor, wasRejected ? 1 : controller.MaximumFactor);
    }

    /// <summary>After a rejected step.</summary>
    public static double Shrinkage(StepController controller, int k, double error)
    {
        double shrink = double.IsFinite(error) ? controller.Safety * Math.Pow(error, -1.0 / k) : 0;
        return Math.Clamp(shrink, controller.MinimumFactor, 1);
    }
}
