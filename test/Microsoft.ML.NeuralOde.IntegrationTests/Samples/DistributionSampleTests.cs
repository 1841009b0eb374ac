using Microsoft.ML.NeuralOde.Samples.Density;
using Microsoft.ML.NeuralOde.Samples.Tabular;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>What the commands <c>quantiles</c> and <c>likelihood</c> measure.</summary>
public class DistributionSampleTests
{
    [Fact]
    public void Distributions_are_judged_as_closed_forms_say()
    {
        // Evenly between 0 and 5, and all but known from the first feature.
        var random = new Random(1);
        TabularRow[] rows = [.. Enumerable.Range(0, 1200).Select(_ => random.NextSingle()).Select(x =>
            new TabularRow { Features = [x, random.NextSingle()], Target = 5 * x + 0.05f * random.NextSingle() })];

        QuantileResult result = QuantileComparison.Run(
            new TabularSet("line", TabularTask.Regression, "generated", rows), 1, epochs: 1, _ => { }, CancellationToken.None);

        result.Methods.Should().HaveCount(5).And.OnlyContain(method => double.IsFinite(method.Crps) && method.Crps > 0);
        // Of numbers and predictions from one distribution the score is half of their mean distance: 5/3 / 2.
        QuantileFigures marginal = result.Methods[4], residuals = result.Methods[1], forest = result.Methods[3];
        marginal.Crps.Should().BeApproximately(5 / 6.0, 0.06);
        marginal.Coverage.Should().BeApproximately(0.9, 0.05);
        marginal.Width.Should().BeApproximately(4.5, 0.15);
        residuals.Crps.Should().BeLessThan(marginal.Crps / 4);
        residuals.Coverage.Should().BeApproximately(0.9, 0.08);
        forest.Crps.Should().BeLessThan(marginal.Crps / 4);
        forest.Coverage.Should().BeGreaterThan(0.8);
    }

    [Theory]
    [InlineData(DensityMethod.Matching)]
    [InlineData(DensityMethod.Likelihood)]
    public void No_training_exceeds_the_densitys_own_likelihood(object method)
    {
        LikelihoodSet all = LikelihoodSet.Of(ToyDensity.Parse("moons"), 1);
        LikelihoodSet small = all with { Hidden = [16, 16], Test = all.Test[..600] };

        LikelihoodResult result = LikelihoodStory.Run(small, (DensityMethod)method, 0.3, 1, CancellationToken.None);

        result.Steps.Should().BePositive();
        // 300 points: their mean log-density differs from the density's own by chance.
        result.LogLikelihood.Should().BeInRange(-20, all.Limit!.Value + 0.2);
    }
}
