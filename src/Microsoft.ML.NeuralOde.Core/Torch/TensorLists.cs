namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>
/// One operation on all tensors of a list, such as the gradients of a network: a device launches it once, not once a tensor, where the
/// tensors are of one type. The processor takes one tensor after the other, which costs it nothing.
/// </summary>
internal static class TensorLists
{
    /// <summary>Sets all elements to zero.</summary>
    public static void Zero(Tensor[] tensors)
    {
        if (!AreOnProcessor(tensors))
        {
            TensorScripts.Zero(tensors);
            return;
        }
        foreach (Tensor tensor in tensors)
            tensor.zero_();
    }

    /// <summary>Multiplies all elements by a number.</summary>
    public static void Scale(Tensor[] tensors, double factor)
    {
        if (!AreOnProcessor(tensors))
        {
            TensorScripts.Scale(tensors, factor);
            return;
        }
        foreach (Tensor tensor in tensors)
            tensor.Multiply(factor);
    }

    /// <summary>Adds to each sum a weighted tensor.</summary>
    public static void Add(Tensor[] sums, Tensor[] more, double weight)
    {
        if (!AreOnProcessor(sums))
        {
            TensorScripts.Add(sums, more, weight);
            return;
        }
        using Scalar factor = weight;
        for (int i = 0; i < sums.Length; i++)
            sums[i].add_(more[i], factor);
    }

    /// <summary>The larger absolute value of two tensors, element by element; in the current scope.</summary>
    public static Tensor LargerMagnitude(Tensor a, Tensor b) =>
        AreOnProcessor([a, b]) ? maximum(a.abs(), b.abs()) : TensorScripts.LargerMagnitude(a, b);

    /// <summary>The root of the sum of squares of each tensor, all on one device; read together.</summary>
    public static double[] Norms(Tensor[] tensors)
    {
        if (!AreOnProcessor(tensors))
            return TensorScripts.Norms(tensors);
        using DisposeScope scope = NewDisposeScope();
        return Array.ConvertAll(tensors, tensor => tensor.norm().ToDouble());
    }

    /// <summary>w ← decay w − rate m / (√v correction + ε), where means m and mean squares v have followed the gradients.</summary>
    public static void Adam(
        Tensor[] weights, Tensor[] gradients, Tensor[] means, Tensor[] squares, double decay, double keptMean, double keptSquare,
        double correction, double epsilon, double rate)
    {
        if (!AreOnProcessor(weights))
        {
            TensorScripts.Adam(weights, gradients, means, squares, decay, keptMean, keptSquare, correction, epsilon, rate);
            return;
        }
        using Scalar oldMean = keptMean, newMean = 1 - keptMean, oldSquare = keptSquare, newSquare = 1 - keptSquare, down = -rate;
        for (int i = 0; i < weights.Length; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            weights[i].Multiply(decay);
            means[i].mul_(oldMean).add_(gradients[i], newMean);
            squares[i].mul_(oldSquare).addcmul_(gradients[i], gradients[i], newSquare);
            Tensor size = squares[i].sqrt().Times(correction).Plus(epsilon);
            weights[i].addcdiv_(means[i], size, down);
        }
    }

    private static bool AreOnProcessor(Tensor[] tensors) => Array.TrueForAll(tensors, tensor => tensor.device_type == DeviceType.CPU);
}
