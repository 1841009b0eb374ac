namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>Numbers out of tensors.</summary>
internal static class Tensors
{
    /// <summary>All numbers in their order.</summary>
    public static double[] Numbers(Tensor tensor)
    {
        using Tensor detached = tensor.detach();
        using Tensor numbers = detached.to(ScalarType.Float64, CPU);
        using Tensor dense = numbers.contiguous();
        return dense.data<double>().ToArray();
    }

    /// <summary>A tensor <c>[rows, …]</c> as a table.</summary>
    public static double[,] Columns(Tensor tensor)
    {
        double[] numbers = Numbers(tensor);
        int rows = (int)tensor.shape[0], columns = numbers.Length / rows;
        var table = new double[rows, columns];
        Buffer.BlockCopy(numbers, 0, table, 0, sizeof(double) * numbers.Length);
        return table;
    }

    /// <exception cref="ArgumentException">The tensor has another number of dimensions, is empty, is not of a floating-point type, or holds
    /// NaN or infinity.</exception>
    public static void Require(Tensor tensor, int dimensions, string shape, string parameter)
    {
        ArgumentNullException.ThrowIfNull(tensor, parameter);
        ObjectDisposedException.ThrowIf(tensor.IsInvalid, tensor);
        if (tensor.dim() != dimensions || tensor.numel() == 0 || !tensor.is_floating_point())
            throw new ArgumentException(
                $"The tensor has shape [{string.Join(", ", tensor.shape)}] and type {tensor.dtype}; it must be {shape}, not empty, "
                + "of a floating-point type.", parameter);
        using Tensor detached = tensor.detach();
        using Tensor finite = detached.isfinite();
        using Tensor all = finite.all();
        if (!all.item<bool>())
            throw new ArgumentException("The tensor holds NaN or infinite numbers, which cannot be drawn.", parameter);
    }
}
