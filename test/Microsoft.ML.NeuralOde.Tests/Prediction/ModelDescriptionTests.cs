using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>What is found out about descriptions that make no sense, whatever checksum their file has.</summary>
public class ModelDescriptionTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(0, 1)]
    [InlineData(2)]
    [InlineData(-1, -1)]
    // Of a negative size beside others.
    [InlineData(-1, -1, 1)]
    public void Dimensions_are_positive_and_make_up_the_features(params int[] dimensions) =>
        Described(1, dimensions).FindDefect(OutputKind.Values).Should().Be(
            dimensions is [1] ? null : $"its 1 features have dimensions [{string.Join(", ", dimensions)}]");

    [Fact]
    public void Features_without_dimensions_are_none_and_those_of_an_image_have_three()
    {
        Described(1).FindDefect(OutputKind.Values).Should().Be("its 1 features have dimensions []");
        Described(12, 3, 2, 2).FindDefect(OutputKind.Values).Should().BeNull();
    }

    private static ModelDescription Described(int features, params int[] dimensions) => new(
        new DenseDescription(features, 1, [4], [4], 1, "dopri5", 1e-3, 1e-3, null), "Features", dimensions, new OutputColumns("Score"), null, []);
}
