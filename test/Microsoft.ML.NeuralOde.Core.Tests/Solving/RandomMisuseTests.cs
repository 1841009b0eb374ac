using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class RandomMisuseTests
{
    [Fact]
    public void A_thousand_wrong_uses_end_in_right_results_or_in_exceptions_of_ours() => Use(first: 1_000, count: 1_000);

    [Fact]
    [Trait("Category", "Slow")]
    public void Ten_thousand_wrong_uses_do() => Use(first: 1_000, count: 10_000);

    private static void Use(int first, int count)
    {
        manual_seed(first);
        List<string> complaints = [];
        for (int seed = first; seed < first + count && complaints.Count < 10; seed++)
            if (RandomMisuse.Try(seed) is { } complaint)
                complaints.Add(complaint);
        string.Join("\n", complaints).Should().BeEmpty();
    }
}
