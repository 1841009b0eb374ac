namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Random numbers on any device.</summary>
/// <remarks>
/// The generators of TorchSharp are the processor's, whatever device they are given, and torch draws on another device only with one of its
/// own. So with a generator numbers are drawn here and moved, the same on every device; without one they are drawn where they are wanted.
/// </remarks>
internal static class Draws
{
    /// <summary>Standard normal numbers.</summary>
    public static Tensor Normal(long[] shape, ScalarType type, Device device, Generator? generator) =>
        Place(at => randn(shape, type, at, generator: generator), device, generator);

    /// <summary>Numbers in [0, 1).</summary>
    public static Tensor Uniform(long[] shape, ScalarType type, Device device, Generator? generator) =>
        Place(at => rand(shape, type, at, generator: generator), device, generator);

    /// <summary>Whole numbers from 0 to <paramref name="end"/> − 1.</summary>
    public static Tensor Integers(long end, long count, Device device, Generator? generator) =>
        Place(at => randint(0, end, [count], ScalarType.Int64, at, generator: generator), device, generator);

    /// <summary>0, 1, …, count − 1 in random order.</summary>
    public static Tensor Permutation(long count, Device device, Generator? generator) =>
        Place(at => randperm(count, ScalarType.Int64, at, generator: generator), device, generator);

    /// <summary>Places of weights, drawn in proportion to them, with replacement.</summary>
    public static Tensor Places(Tensor weights, long count, Generator? generator)
    {
        Device device = weights.device;
        return Place(
            at =>
            {
                using Tensor here = weights.to(at);
                return multinomial(here, count, replacement: true, generator: generator);
            },
            device, generator);
    }

    private static Tensor Place(Func<Device, Tensor> draw, Device device, Generator? generator)
    {
        if (generator is null || device.type == DeviceType.CPU)
            return draw(device);
        using Tensor here = draw(CPU);
        return here.to(device);
    }
}
