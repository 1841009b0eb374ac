using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Raises each number to a power, xⁿ: in front of the first layer of dynamics whose rates are polynomials, such as the spiral dy/dt = A y³
/// of R. T. Q. Chen et al. (Neural Ordinary Differential Equations, 2018), or between two layers.
/// </summary>
/// <remarks>Exponents of 2 and 3 are known to the kernels that serve an <see cref="ILayeredDynamics"/>.</remarks>
/// <example>
/// <code>
/// Sequential layers = nn.Sequential(new Power(3), nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2));
/// </code>
/// </example>
public sealed class Power : Module<Tensor, Tensor>
{
    /// <summary>Creates the module.</summary>
    /// <param name="exponent">n, at least 2.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="exponent"/> is below 2.</exception>
    public Power(int exponent)
        : base(nameof(Power))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(exponent, 2);
        Exponent = exponent;
    }

    /// <summary>n.</summary>
    public int Exponent { get; }

    /// <summary>xⁿ.</summary>
    /// <param name="input">x, of any shape.</param>
    /// <returns>A tensor of the same shape.</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return Numbers.Power(input, Exponent);
    }
}
