using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class EmbeddedDigitsTests
{
    private static readonly DigitData Digits = EmbeddedDigits.Load();

    [Fact]
    public void There_are_4000_for_training_and_1000_for_testing_equally_many_of_each_class()
    {
        Frequencies(Digits.Train).Should().AllBeEquivalentTo(400);
        Frequencies(Digits.Test).Should().AllBeEquivalentTo(100);
        Digits.Train.Count.Should().Be(4_000);
        Digits.Test.Count.Should().Be(1_000);
    }

    [Fact]
    public void The_margin_of_four_pixels_is_black_and_the_middle_is_not()
    {
        for (int i = 0; i < Digits.Train.Count; i++)
        {
            ReadOnlySpan<byte> pixels = Digits.Train.GetPixels(i);
            int margin = 0;
            int middle = 0;
            for (int p = 0; p < pixels.Length; p++)
            {
                (int y, int x) = Math.DivRem(p, 28);
                if (y is < 4 or >= 24 || x is < 4 or >= 24)
                    margin += pixels[p];
                else
                    middle += pixels[p];
            }
            margin.Should().Be(0);
            middle.Should().BeGreaterThan(10 * 255, "a digit has at least ten white pixels (image {0})", i);
        }
    }

    /// <summary>
    /// Cut out one row or column too far, cells would hold other digits than their labels say. A zero has a hole where a one has its
    /// stroke, and the nearest mean image recognises most digits.
    /// </summary>
    [Fact]
    public void Images_show_what_their_labels_say()
    {
        double[][] means = [.. Enumerable.Range(0, 10).Select(digit => Mean(Digits.Train, digit))];
        const int Centre = 14 * 28 + 14;
        means[0][Centre].Should().BeLessThan(32);
        means[1][Centre].Should().BeGreaterThan(128);

        int right = Enumerable.Range(0, Digits.Test.Count)
            .Count(i => Nearest(means, Digits.Test.GetPixels(i)) == Digits.Test.Labels.Span[i]);
        right.Should().BeGreaterThan(700);
    }

    [Fact]
    public void No_test_image_is_a_training_image()
    {
        Texts(Digits.Train).Intersect(Texts(Digits.Test)).Should().BeEmpty();

        static IEnumerable<string> Texts(MnistImages images) =>
            Enumerable.Range(0, images.Count).Select(i => Convert.ToHexString(images.GetPixels(i)));
    }

    private static int[] Frequencies(MnistImages images) =>
        [.. Enumerable.Range(0, 10).Select(digit => images.Labels.ToArray().Count(label => label == digit))];

    private static double[] Mean(MnistImages images, int digit)
    {
        double[] mean = new double[784];
        int[] rows = [.. Enumerable.Range(0, images.Count).Where(i => images.Labels.Span[i] == digit)];
        foreach (int row in rows)
            for (int p = 0; p < mean.Length; p++)
                mean[p] += images.GetPixels(row)[p] / (double)rows.Length;
        return mean;
    }

    private static int Nearest(double[][] means, ReadOnlySpan<byte> pixels)
    {
        double[] distances = new double[means.Length];
        for (int digit = 0; digit < means.Length; digit++)
            for (int p = 0; p < pixels.Length; p++)
                distances[digit] += (pixels[p] - means[digit][p]) * (pixels[p] - means[digit][p]);
        return Array.IndexOf(distances, distances.Min());
    }
}
