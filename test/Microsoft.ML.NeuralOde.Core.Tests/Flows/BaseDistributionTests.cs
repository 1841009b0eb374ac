namespace Microsoft.ML.NeuralOde.Core.Tests.Flows;

public class BaseDistributionTests
{
    [Fact]
    public void A_mixture_has_the_density_of_its_formula_and_samples_with_its_moments()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(1);
        using var mixture = new GaussianMixtureBase(
            tensor(new[] { -2f, 1f, 3f, 0f }, [2, 2]), tensor(new[] { 0.5f, 1f, 2f, 0.1f }, [2, 2]), tensor(new[] { 1f, 3f }));
        double Normal(double x, double mean, double scale) =>
            Math.Exp(-0.5 * Math.Pow((x - mean) / scale, 2)) / (scale * Math.Sqrt(2 * Math.PI));
        double expected = Math.Log(0.25 * Normal(0.3, -2, 0.5) * Normal(0.1, 1, 1) + 0.75 * Normal(0.3, 3, 2) * Normal(0.1, 0, 0.1));
        mixture.call(tensor(new[] { 0.3f, 0.1f }, [1, 2])).ToDouble().Should().BeApproximately(expected, 1e-5);

        Tensor samples = mixture.Sample(40_000);
        float[] mean = samples.mean([0L]).data<float>().ToArray();
        mean[0].Should().BeApproximately(0.25f * -2 + 0.75f * 3, 0.06f);
        mean[1].Should().BeApproximately(0.25f, 0.02f);
        // E x² of the first component.
        samples[.., 0].square().mean().ToDouble().Should().BeApproximately(0.25 * (4 + 0.25) + 0.75 * (9 + 4), 0.25);
        mixture.parameters().Should().HaveCount(3);
    }

    [Fact]
    public void Frozen_parts_get_no_gradient_and_parts_that_make_no_sense_are_named()
    {
        using DisposeScope scope = NewDisposeScope();
        using var frozen = new GaussianMixtureBase(zeros(2, 3), isLearned: false);
        frozen.parameters().Should().OnlyContain(p => !p.requires_grad);
        Action shape = () => _ = new GaussianMixtureBase(zeros(3));
        shape.Should().Throw<ArgumentException>().WithMessage("*[3]*[components, features]*");
        Action scales = () => _ = new GaussianMixtureBase(zeros(2, 3), zeros(2, 3));
        scales.Should().Throw<ArgumentException>().WithMessage("*scales*positive*");
        Action weights = () => _ = new GaussianMixtureBase(zeros(2, 3), weights: ones(3));
        weights.Should().Throw<ArgumentException>().WithMessage("*weights*2 positive*");
    }
}
