namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Why a solve in plain memory ended.</summary>
internal static unsafe class NativeFailure
{
    /// <summary>The failure of more steps than allowed.</summary>
    public static OdeSolverException StepLimit(double time, double step, OdeSolverOptions options, string remark) =>
        new(SolverFailure.StepLimit, time, step, double.NaN, [], $"MaximumSteps is {options.MaximumSteps}.{remark}");

    /// <summary>Names the first component that is not finite; empty for none.</summary>
    public static string NotFinite(double* vector, NativeSystem system, string what = "Component")
    {
        for (int i = 0; i < system.Size; i++)
            if (!double.IsFinite(vector[i]))
                return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{what} {i} is {vector[i]}.");
        return "";
    }

    /// <summary>
    /// Whether the state is much larger than at the start and would double within some thousand more of such steps, as it does before a
    /// pole.
    /// </summary>
    public static bool BlowsUp(NativeStepper stepper, NativeSystem system, double* initial, double step)
    {
        double size = 0, before = Math.Max(system.Options.AbsoluteTolerance, double.Epsilon), growth = double.NegativeInfinity;
        double* slope = stepper.Derivative();
        for (int i = 0; i < system.Size; i++)
        {
            size = Math.Max(size, Math.Abs(stepper.State[i]));
            before = Math.Max(before, Math.Abs(initial[i]));
            growth = Math.Max(growth, slope[i] * system.Grid.Direction * (stepper.State[i] < 0 ? -1 : 1));
        }
        return growth * 1e4 * step > size && size > 1e3 * before;
    }
}
