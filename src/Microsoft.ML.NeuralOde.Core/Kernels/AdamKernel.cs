using System.Numerics;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>What is the same for all numbers in a step of Adam.</summary>
/// <param name="KeptMean">β₁: how much of the mean gradient stays.</param>
/// <param name="KeptSquare">β₂: how much of the mean square stays.</param>
/// <param name="Correction">1 / √(1 − β₂ᵗ), for a mean square that began at zero.</param>
/// <param name="Epsilon">What is added to the root.</param>
/// <param name="Rate">The learning rate over 1 − β₁ᵗ.</param>
/// <param name="Decay">What the weight is multiplied with before.</param>
internal readonly record struct AdamStep(
    double KeptMean, double KeptSquare, double Correction, double Epsilon, double Rate, double Decay);

/// <summary>
/// One step of Adam in one pass over plain memory. Each number is computed in the same way wherever it stands, so that results do not depend
/// on the width of the registers.
/// </summary>
internal static unsafe class AdamKernel<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int Block = 8192, OperationsEach = 12;

    /// <summary>w ← decay w − rate m / (√v correction + ε), where m and v have followed the gradient.</summary>
    public static void Follow(T* weight, T* gradient, T* mean, T* square, nint count, AdamStep step) =>
        RowBlocks.Run(RowBlocks.Workers(count, Block, (double)OperationsEach * count), count, Block, (_, start, size) =>
            FollowBlock(weight + start, gradient + start, mean + start, square + start, size, step));

    // Optimised at once: short trainings end before a method has proved to be busy.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FollowBlock(T* weight, T* gradient, T* mean, T* square, nint count, AdamStep step)
    {
        T keptMean = T.CreateTruncating(step.KeptMean), newMean = T.CreateTruncating(1 - step.KeptMean);
        T keptSquare = T.CreateTruncating(step.KeptSquare), newSquare = T.CreateTruncating(1 - step.KeptSquare);
        T correction = T.CreateTruncating(step.Correction), epsilon = T.CreateTruncating(step.Epsilon);
        T rate = T.CreateTruncating(step.Rate), decay = T.CreateTruncating(step.Decay);
        nint i = 0;
        for (; i <= count - Vector<T>.Count; i += Vector<T>.Count)
        {
            Vector<T> g = Vector.Load(gradient + i);
            Vector<T> m = Vector.Load(mean + i) * keptMean + g * newMean;
            Vector<T> v = Vector.Load(square + i) * keptSquare + g * g * newSquare;
            m.Store(mean + i);
            v.Store(square + i);
            Vector<T> size = Vector.SquareRoot(v) * correction + new Vector<T>(epsilon);
            (Vector.Load(weight + i) * decay - m * rate / size).Store(weight + i);
        }
        for (; i < count; i++)
        {
            T g = gradient[i];
            T m = mean[i] = mean[i] * keptMean + g * newMean;
            T v = square[i] = square[i] * keptSquare + g * g * newSquare;
            weight[i] = weight[i] * decay - m * rate / (T.Sqrt(v) * correction + epsilon);
        }
    }
}
