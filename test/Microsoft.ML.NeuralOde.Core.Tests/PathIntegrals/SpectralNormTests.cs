namespace Microsoft.ML.NeuralOde.Core.Tests.PathIntegrals;

public class SpectralNormTests
{
    [Fact]
    public void It_is_the_sum_of_the_squared_largest_singular_values_and_so_is_its_gradient()
    {
        manual_seed(3);
        using var dynamics = new DenseDynamics(6, [9, 4]);
        Tensor[] weights = [.. dynamics.parameters().Where(p => p.dim() == 2)];
        weights.Should().HaveCount(3);

        using Tensor penalty = SpectralNorm.Penalty(dynamics, iterations: 200);
        penalty.backward();

        double expected = 0;
        foreach (Tensor weight in weights)
        {
            (Tensor u, Tensor s, Tensor vh) = linalg.svd(weight.detach(), fullMatrices: false);
            expected += Math.Pow(s[0].ToDouble(), 2);
            // d(σ²)/dW = 2 σ u vᵀ.
            using Tensor gradient = 2 * s[0] * outer(u.select(1, 0), vh[0]);
            (weight.grad! - gradient).abs().max().ToDouble().Should().BeLessThan(1e-4);
        }
        penalty.ToDouble().Should().BeApproximately(expected, 1e-4);
    }

    [Fact]
    public void A_module_without_matrices_is_refused()
    {
        using var empty = nn.ReLU();
        Action act = () => SpectralNorm.Penalty(empty);
        act.Should().Throw<ArgumentException>().WithMessage("*two or more dimensions*");
        using var linear = nn.Linear(2, 2);
        Action none = () => SpectralNorm.Penalty(linear, 0);
        none.Should().Throw<ArgumentOutOfRangeException>();
    }
}
