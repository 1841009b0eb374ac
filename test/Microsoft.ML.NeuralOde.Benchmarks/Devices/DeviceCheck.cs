namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>A computation that must give the same on a device as on the processor.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Tolerance">The difference that the order of sums may make, relative to the largest number.</param>
/// <param name="Compute">Computes numbers; its random numbers come from generators with seeds.</param>
internal sealed record DeviceCheck(string Name, double Tolerance, Func<Device, Tensor[]> Compute)
{
    /// <returns>What is wrong; null for nothing.</returns>
    /// <param name="device">The device.</param>
    /// <param name="isRefused">Whether the library refuses the computation on the processor as well as there.</param>
    public string? Run(Device device, out bool isRefused)
    {
        isRefused = false;
        using DisposeScope scope = NewDisposeScope();
        (Tensor[]? expected, Exception? refusal) = Try(CPU);
        if (refusal is not null && refusal is not (ArgumentException or NotSupportedException))
            return $"on the processor: {DevicesCommand.FirstLine(refusal)}";
        (Tensor[]? found, Exception? failure) = Try(device);
        if (refusal is not null)
        {
            isRefused = failure?.GetType() == refusal.GetType();
            return isRefused ? null
                : $"the processor refuses it ({DevicesCommand.FirstLine(refusal)}), the device {(failure is null ? "does not" : DevicesCommand.FirstLine(failure))}";
        }
        if (failure is not null)
            return DevicesCommand.FirstLine(failure);
        return expected!.Length == found!.Length
            ? expected.Select((tensor, i) => Difference(tensor, found[i], i)).FirstOrDefault(difference => difference is not null)
            : $"{found.Length} results instead of {expected.Length}";
    }

    private (Tensor[]? Results, Exception? Failure) Try(Device device)
    {
        try
        {
            manual_seed(1);
            return (Compute(device), null);
        }
        catch (Exception e)
        {
            return (null, e);
        }
    }

    private string? Difference(Tensor expected, Tensor found, int place)
    {
        if (!expected.shape.AsSpan().SequenceEqual(found.shape) || expected.dtype != found.dtype)
            return $"result {place} is {found.dtype}[{string.Join(", ", found.shape)}] instead of {expected.dtype}[{string.Join(", ", expected.shape)}]";
        double[] a = Numbers(expected), b = Numbers(found);
        double scale = Math.Max(1e-30, a.Select(Math.Abs).DefaultIfEmpty(0).Max());
        for (int i = 0; i < a.Length; i++)
            if (!(Math.Abs(a[i] - b[i]) <= Tolerance * scale) && !(double.IsNaN(a[i]) && double.IsNaN(b[i])))
                return $"result {place} has {b[i]:g9} at {i} instead of {a[i]:g9}";
        return null;
    }

    private static double[] Numbers(Tensor tensor)
    {
        Tensor plain = tensor.detach().to(ScalarType.Float64).cpu().contiguous();
        return plain.data<double>().ToArray();
    }
}
