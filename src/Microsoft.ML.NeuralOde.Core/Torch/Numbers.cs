namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Sums of tensors, and arithmetic of tensors with numbers, that are safe beside the garbage collections of other threads.
/// </summary>
/// <remarks>
/// TorchSharp turns a number into a <see cref="Scalar"/>, an object with a finalizer that frees native memory, and hands torch a pointer
/// into it; nothing keeps the object alive after that. A collection that another thread starts at the wrong moment frees the number while
/// torch reads it (“Expected false to be true”). The sum of two tensors is concerned as well, since it has a factor of 1. Here every
/// <see cref="Scalar"/> outlives the call. In the root namespace, so that its methods come before those that TorchSharp has under the same
/// names.
/// </remarks>
internal static class Numbers
{
    /// <summary>0, never freed.</summary>
    public static readonly Scalar Zero = 0.0;

    /// <summary>1, never freed.</summary>
    public static readonly Scalar One = 1.0;

    /// <summary>NaN, never freed.</summary>
    public static readonly Scalar NaN = double.NaN;

    private static readonly Scalar Two = 2.0;
    private static readonly Scalar Whole = 1L;

    /// <summary>a + b.</summary>
    public static Tensor Plus(this Tensor a, Tensor b) => a.add(b, One);

    /// <summary>a + number.</summary>
    public static Tensor Plus(this Tensor a, double number)
    {
        using Scalar scalar = number;
        return a.add(scalar, One);
    }

    /// <summary>Adds b to a.</summary>
    /// <returns>a.</returns>
    public static Tensor Add(this Tensor a, Tensor b) => a.add_(b, One);

    /// <summary>a − number.</summary>
    public static Tensor Minus(this Tensor a, double number) => a.Plus(-number);

    /// <summary>number − a.</summary>
    public static Tensor From(this Tensor a, double number)
    {
        using Tensor negative = a.neg();
        return negative.Plus(number);
    }

    /// <summary>a · number.</summary>
    public static Tensor Times(this Tensor a, double number)
    {
        using Scalar scalar = number;
        return a.mul(scalar);
    }

    /// <summary>Multiplies a by a number.</summary>
    /// <returns>a.</returns>
    public static Tensor Multiply(this Tensor a, double number)
    {
        using Scalar scalar = number;
        return a.mul_(scalar);
    }

    /// <summary>a / number.</summary>
    public static Tensor Over(this Tensor a, double number)
    {
        using Scalar scalar = number;
        return a.div(scalar);
    }

    /// <summary>factor · a + number, in one operation.</summary>
    public static Tensor Line(this Tensor a, double factor, double number)
    {
        using Scalar slope = factor;
        // A tensor of the processor's without dimensions is a mere number to every device.
        using Tensor constant = Constant(number, a.dtype, CPU);
        return constant.add(a, slope);
    }

    /// <summary>a².</summary>
    public static Tensor Squared(this Tensor a) => a.pow(Two);

    /// <summary>a to a power.</summary>
    public static Tensor Power(this Tensor a, double exponent)
    {
        using Scalar scalar = exponent;
        return a.pow(scalar);
    }

    /// <summary>a, where it is larger than a number, else the number.</summary>
    public static Tensor AtLeast(this Tensor a, double number)
    {
        using Scalar scalar = number;
        return a.clamp_min(scalar);
    }

    /// <summary>A tensor of integers, plus a number.</summary>
    public static Tensor Shift(this Tensor a, long number)
    {
        using Scalar scalar = number;
        return a.add(scalar, Whole);
    }

    /// <summary>A tensor of integers, with what is outside moved to the nearer end.</summary>
    public static Tensor Within(this Tensor a, long low, long high)
    {
        using Scalar least = low;
        using Scalar most = high;
        return a.clamp(least, most);
    }

    /// <summary>A tensor of the shape and type of another, all of whose elements are one number.</summary>
    public static Tensor Filled(this Tensor like, long number)
    {
        using Scalar scalar = number;
        return full_like(like, scalar);
    }

    /// <summary>A tensor without dimensions that holds a number: written by the device, not copied there.</summary>
    public static Tensor Constant(double number, ScalarType type, Device device)
    {
        using Scalar scalar = number;
        return full([], scalar, type, device);
    }

    /// <summary>The number of a tensor that holds one.</summary>
    /// <remarks>Found before TorchSharp's function of that name, which reads from a <see cref="Scalar"/> too.</remarks>
    public static double ToDouble(this Tensor a)
    {
        using Tensor detached = a.detach();
        using Tensor read = detached.cpu();
        using Tensor number = read.to(ScalarType.Float64);
        return number.item<double>();
    }

    /// <summary>0, 1, …, count − 1.</summary>
    public static Tensor Range(long count, ScalarType type, Device device)
    {
        using Scalar end = count;
        return arange(Zero, end, One, type, device);
    }
}
