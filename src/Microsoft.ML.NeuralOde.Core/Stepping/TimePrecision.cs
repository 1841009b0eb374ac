namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>The numbers to which times are rounded on their way to the right-hand side: those of the state's type.</summary>
internal static class TimePrecision
{
    /// <summary>A time as the type holds it.</summary>
    public static double Round(double time, ScalarType type) => type switch
    {
        ScalarType.Float32 => (float)time,
        ScalarType.Float16 => (double)(Half)time,
        ScalarType.BFloat16 => RoundToBFloat16((float)time),
        _ => time,
    };

    /// <summary>The number of the type above the one that a time is rounded to.</summary>
    public static double Next(double time, ScalarType type) => type switch
    {
        ScalarType.Float32 => MathF.BitIncrement((float)time),
        ScalarType.Float16 => (double)Half.BitIncrement((Half)time),
        ScalarType.BFloat16 => NextBFloat16(RoundToBFloat16((float)time)),
        _ => Math.BitIncrement(time),
    };

    /// <summary>The number of the type below the one that a time is rounded to.</summary>
    public static double Previous(double time, ScalarType type) => -Next(-time, type);

    /// <summary>How far apart the numbers of the type are at a time: never 0, and infinite where the type holds no such time.</summary>
    public static double Spacing(double time, ScalarType type)
    {
        double size = Math.Abs(time);
        double spacing = Next(size, type) - Round(size, type);
        return double.IsNaN(spacing) ? double.PositiveInfinity : spacing;
    }

    /// <summary>The upper half of a float32, to nearest, ties to even.</summary>
    private static float RoundToBFloat16(float value)
    {
        if (!float.IsFinite(value))
            return value;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        bits += 0x7FFF + ((bits >> 16) & 1);
        return BitConverter.UInt32BitsToSingle(bits & 0xFFFF0000);
    }

    private static float NextBFloat16(float value)
    {
        if (!float.IsFinite(value))
            return value;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle(value == 0 ? 0x10000 : value > 0 ? bits + 0x10000 : bits - 0x10000);
    }
}
