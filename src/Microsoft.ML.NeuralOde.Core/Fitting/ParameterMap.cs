namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>A parameter as a function of a number without bounds.</summary>
internal static class ParameterMap
{
    /// <summary>θ of a value.</summary>
    public static double Free(OdeParameter parameter, double value) =>
        (double.IsFinite(parameter.Lower), double.IsFinite(parameter.Upper)) switch
        {
            (true, true) => Math.Log((value - parameter.Lower) / (parameter.Upper - value)),
            (true, false) => Math.Log(value - parameter.Lower),
            (false, true) => Math.Log(parameter.Upper - value),
            _ => value,
        };

    /// <summary>The value of θ, and its derivative.</summary>
    public static (double Value, double Slope) Bound(OdeParameter parameter, double free)
    {
        double power = Math.Exp(free);
        switch ((double.IsFinite(parameter.Lower), double.IsFinite(parameter.Upper)))
        {
            case (true, true):
                double width = parameter.Upper - parameter.Lower, part = 1 / (1 + Math.Exp(-free));
                return (parameter.Lower + width * part, width * part * (1 - part));
            case (true, false):
                return (parameter.Lower + power, power);
            case (false, true):
                return (parameter.Upper - power, -power);
            default:
                return (free, 1);
        }
    }
}
