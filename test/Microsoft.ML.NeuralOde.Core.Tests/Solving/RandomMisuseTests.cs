using System.Globalization;
using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class RandomMisuseTests
{
    /// <summary>How many wrong uses are tried, where a longer run is wanted than that of the suite.</summary>
    private const string CountVariable = "NEURALODE_WRONG_USES";

    [Fact]
    public void Wrong_uses_end_in_right_results_or_in_exceptions_of_ours() =>
        Use(first: 0, count: int.Parse(Environment.GetEnvironmentVariable(CountVariable) ?? "10000", CultureInfo.InvariantCulture));

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
