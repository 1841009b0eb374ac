namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>Equal steps over an interval.</summary>
internal static class FixedSteps
{
    /// <summary>How many steps no larger than <paramref name="largest"/> an interval takes.</summary>
    public static long Count(double length, double largest) =>
        // The slack keeps ten steps of 0.1 ten where the quotient rounds to 10.000000000000002.
        double.IsInfinity(largest) ? 1 : Math.Max(1, (long)Math.Ceiling(length / largest * (1 - 1e-12)));
}
