using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The largest singular values of a module's weight matrices: their product bounds how fast the module's output changes with its input, and
/// for the right-hand side of an equation how stiff it can become.
/// </summary>
public static class SpectralNorm
{
    /// <summary>
    /// The sum of the squared largest singular values of all weight matrices (Y. Yoshida, T. Miyato, Spectral Norm Regularization for
    /// Improving the Generalizability of Deep Learning, 2017), for which there are gradients: multiply it with a small number and add it to
    /// a loss.
    /// </summary>
    /// <param name="module">A module; its parameters with two or more dimensions count, each as a matrix of its first dimension by the
    /// rest.</param>
    /// <param name="iterations">Steps of the power iteration that finds the singular vectors, from the same vector each time.</param>
    /// <returns>A scalar, in the graph.</returns>
    /// <exception cref="ArgumentException">The module has no weight matrix.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of iterations is not positive.</exception>
    public static Tensor Penalty(Module module, int iterations = 10)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(iterations);
        foreach (TorchSharp.Modules.Parameter parameter in module.parameters())
            Inputs.RequireAlive(parameter, nameof(module), "A parameter of the module");
        using DisposeScope scope = NewDisposeScope();
        Tensor? sum = null;
        foreach (var parameter in module.parameters().Where(parameter => parameter.dim() >= 2))
        {
            Tensor square = LargestSingularValue(parameter.flatten(1), iterations).Squared();
            sum = sum is null ? square : sum.Plus(square);
        }
        return sum?.MoveToOuterDisposeScope()
            ?? throw new ArgumentException("The module has no parameter with two or more dimensions.", nameof(module));
    }

    /// <summary>uᵀ W v with the singular vectors held fixed, whose gradient u vᵀ is that of the singular value.</summary>
    private static Tensor LargestSingularValue(Tensor weight, int iterations)
    {
        Tensor u, v;
        using (no_grad())
        {
            Tensor matrix = weight.detach();
            // Not orthogonal to any simple direction, and the same in every call.
            v = Unit(Numbers.Range(matrix.shape[1], matrix.dtype, matrix.device).Plus(1).cos().Plus(1.5));
            u = Unit(matrix.mv(v));
            for (int i = 0; i < iterations; i++)
            {
                v = Unit(matrix.t().mv(u));
                u = Unit(matrix.mv(v));
            }
        }
        return u.dot(weight.mv(v));
    }

    private static Tensor Unit(Tensor vector) => vector / vector.norm().AtLeast(1e-12);
}
