using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class StratifiedSplitTests
{
    [Fact]
    public void Each_row_is_in_one_part_and_each_class_has_the_same_share()
    {
        // Thirty zeros, ten ones and five sevens, in this order.
        byte[] labels = [.. Enumerable.Repeat((byte)0, 30), .. Enumerable.Repeat((byte)1, 10), .. Enumerable.Repeat((byte)7, 5)];

        (int[] train, int[] test) = StratifiedSplit.Split(labels, every: 5);

        train.Concat(test).Should().BeEquivalentTo(Enumerable.Range(0, 45));
        test.GroupBy(i => labels[i]).Select(g => (g.Key, g.Count())).Should().BeEquivalentTo([((byte)0, 6), ((byte)1, 2), ((byte)7, 1)]);
    }

    [Fact]
    public void Any_number_of_first_rows_is_balanced()
    {
        byte[] labels = [.. Enumerable.Range(0, 100).Select(i => (byte)(i / 10))];

        (int[] train, int[] test) = StratifiedSplit.Split(labels, every: 2);

        train.Take(10).Select(i => labels[i]).Should().Equal(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        test.Take(10).Select(i => labels[i]).Should().Equal(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    }

    [Fact]
    public void It_is_the_same_every_time()
    {
        byte[] labels = [3, 1, 3, 3, 1, 1, 2, 3, 1];

        (int[] train, int[] test) = StratifiedSplit.Split(labels, every: 3);
        (int[] again, int[] testAgain) = StratifiedSplit.Split(labels, every: 3);

        again.Should().Equal(train);
        testAgain.Should().Equal(test);
    }

    [Fact]
    public void A_test_set_of_everything_is_refused() =>
        FluentActions.Invoking(() => StratifiedSplit.Split([1, 2], every: 1)).Should().Throw<ArgumentOutOfRangeException>();
}
