using Microsoft.ML.NeuralOde.Samples;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public class NearMissTests
{
    private static readonly string[] Names = ["8gaussians", "moons", "circles", "swissroll", "dopri5", "dopri8", "CosineAnnealing"];

    [Theory]
    [InlineData("moon", "moons")]
    [InlineData("MOONS ", "moons")]
    [InlineData("gaussians", "8gaussians")]
    [InlineData("swisroll", "swissroll")]
    [InlineData("dopri4", "dopri5")]
    [InlineData("cosine", "CosineAnnealing")]
    public void The_nearest_name_is_found(string text, string name) => NearMiss.Find(text, Names).Should().Be(name);

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("pinwheel")]
    public void What_is_near_to_nothing_gets_no_hint(string text) => NearMiss.Hint(text, Names).Should().BeEmpty();
}
