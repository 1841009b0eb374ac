using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Flows;

public class StandardizationTests
{
    [Fact]
    public void Moments_batch_by_batch_are_those_of_all_rows()
    {
        using DisposeScope scope = NewDisposeScope();
        using var standardization = new Standardization(3);
        Tensor x = randn(1000, 3) * tensor(new[] { 1e-6f, 1f, 1e5f }) + tensor(new[] { 0f, 100f, -1e6f });
        foreach (Tensor part in x.split([1, 299, 700]))
            standardization.Observe(part);
        Tensor z = standardization.call(x);
        Tensor mean = z.mean([0L]), deviation = z.square().mean([0L]).sqrt();
        Problems.MaximumDifference(mean, zeros(3)).Should().BeLessThan(1e-4);
        Problems.MaximumDifference(deviation, ones(3)).Should().BeLessThan(1e-4);
        Problems.MaximumDifference(standardization.Invert(z) / x, ones(1000, 3)).Should().BeLessThan(1e-3);
        Tensor scale = x.to(ScalarType.Float64).std(0L, unbiased: false);
        standardization.LogDeterminant().Should().BeApproximately(-scale.log().sum().ToDouble(), 1e-9);
    }

    [Fact]
    public void Features_without_variance_are_told_and_keep_their_unit()
    {
        using DisposeScope scope = NewDisposeScope();
        using var standardization = new Standardization(3);
        standardization.ConstantFeatures().Should().BeEmpty();
        standardization.Observe(tensor(new[] { 1f, 0.1f, 5f, 2f, 0.1f, 5f }, [2, 3]));
        standardization.ConstantFeatures().Should().Equal(1, 2);
        using Tensor z = standardization.call(tensor(new[] { 1f, 0.1f, 7f }, [1, 3]));
        z.data<float>().ToArray().Should().Equal(-1, 0, 2);
    }

    [Fact]
    public void Bad_rows_are_refused_and_change_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        using var standardization = new Standardization(2);
        Action nan = () => standardization.Observe(tensor(new[] { 1f, float.NaN }, [1, 2]));
        nan.Should().Throw<ArgumentException>().WithMessage("*NaN*");
        Action shape = () => standardization.Observe(zeros(1, 3));
        shape.Should().Throw<ArgumentException>().WithMessage("*[1, 3]*[rows, 2]*");
        standardization.LogDeterminant().Should().Be(0);
    }
}
