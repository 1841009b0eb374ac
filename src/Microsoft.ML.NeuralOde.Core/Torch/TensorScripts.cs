namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>The operations of <see cref="TensorLists"/>, each one call of torch for the whole list.</summary>
/// <remarks>
/// TorchSharp does not have these functions of torch; the interpreter of TorchScript has. It is handed numbers as <see cref="Scalar"/>s,
/// which must outlive the call, see <see cref="Numbers"/>.
/// </remarks>
internal static class TensorScripts
{
    private static readonly Lazy<jit.CompilationUnit> Script = new(() => jit.compile(
        """
        def zero(tensors: List[Tensor]):
            torch._foreach_zero_(tensors)

        def scale(tensors: List[Tensor], factor: float):
            torch._foreach_mul_(tensors, factor)

        def add(sums: List[Tensor], more: List[Tensor], weight: float):
            torch._foreach_add_(sums, more, alpha=weight)

        def magnitudes(tensors: List[Tensor]):
            return torch._foreach_abs(tensors)

        def norms(tensors: List[Tensor]):
            return torch.stack(torch._foreach_norm(tensors))

        def adam(
            weights: List[Tensor], gradients: List[Tensor], means: List[Tensor], squares: List[Tensor], decay: float, kept_mean: float,
            kept_square: float, correction: float, epsilon: float, rate: float):
            if decay != 1.0:
                torch._foreach_mul_(weights, decay)
            torch._foreach_mul_(means, kept_mean)
            torch._foreach_add_(means, gradients, alpha=1.0 - kept_mean)
            torch._foreach_mul_(squares, kept_square)
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - kept_square)
            sizes = torch._foreach_sqrt(squares)
            torch._foreach_mul_(sizes, correction)
            torch._foreach_add_(sizes, epsilon)
            torch._foreach_addcdiv_(weights, means, sizes, -rate)

        """.ReplaceLineEndings("\n")));

    /// <summary>Sets all elements to zero.</summary>
    public static void Zero(Tensor[] tensors) => Invoke("zero", [tensors]);

    /// <summary>Multiplies all elements by a number.</summary>
    public static void Scale(Tensor[] tensors, double factor) => Invoke("scale", [tensors], factor);

    /// <summary>Adds to each sum a weighted tensor.</summary>
    public static void Add(Tensor[] sums, Tensor[] more, double weight) => Invoke("add", [sums, more], weight);

    /// <summary>The larger absolute value of two tensors, element by element; in the current scope.</summary>
    public static Tensor LargerMagnitude(Tensor a, Tensor b)
    {
        var magnitudes = (object[])Invoke("magnitudes", [[a, b]])!;
        return maximum((Tensor)magnitudes[0], (Tensor)magnitudes[1]);
    }

    /// <summary>The root of the sum of squares of each tensor, all on the tensors' device; read together.</summary>
    public static double[] Norms(Tensor[] tensors)
    {
        if (tensors.Length == 0)
            return [];
        using var norms = (Tensor)Invoke("norms", [tensors])!;
        using Tensor read = norms.cpu();
        using Tensor numbers = read.to(ScalarType.Float64);
        return numbers.data<double>().ToArray();
    }

    /// <summary>w ← decay w − rate m / (√v correction + ε), where means m and mean squares v have followed the gradients.</summary>
    public static void Adam(
        Tensor[] weights, Tensor[] gradients, Tensor[] means, Tensor[] squares, double decay, double keptMean, double keptSquare,
        double correction, double epsilon, double rate) =>
        Invoke("adam", [weights, gradients, means, squares], decay, keptMean, keptSquare, correction, epsilon, rate);

    private static object? Invoke(string function, Tensor[][] lists, params double[] numbers)
    {
        if (lists[0].Length == 0)
            return null;
        List<object> arguments = [.. lists];
        var scalars = new List<Scalar>(numbers.Length);
        foreach (double number in numbers)
        {
            Scalar scalar = number;
            scalars.Add(scalar);
            arguments.Add(scalar);
        }
        try
        {
            return Script.Value.invoke(function, [.. arguments]);
        }
        finally
        {
            foreach (Scalar scalar in scalars)
                scalar.Dispose();
            // The native call knows the tensors by their handles alone.
            GC.KeepAlive(lists);
        }
    }
}
