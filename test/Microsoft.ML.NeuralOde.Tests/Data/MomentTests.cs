using System.Numerics;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Sums over rows, in one pass, in parts and after a journey to another process, against sums by hand.</summary>
public class MomentTests
{
    /// <summary>Two columns of eight rows: one of whole numbers, one of fractions.</summary>
    private static readonly float[][] Rows =
        [[3, 0.5f], [-1, 0.25f], [3, 1.5f], [7, -2], [0, 0.5f], [-4, 4], [2, 0], [6, 0.75f]];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(8)]
    public void Parts_come_together_to_what_the_rows_have_as_one(int first)
    {
        Moments whole = Of(Rows), front = Of(Rows[..first]), back = Of(Rows[first..]);
        front.Merge(back, 8 - first);
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        front.Write(writer);
        stream.Position = 0;
        var sent = new Moments(2);
        sent.Add([100, 100]);
        sent.Read(new BinaryReader(stream));

        double[] means = [16 / 8.0, 5.5 / 8];
        double[] variances = [.. Enumerable.Range(0, 2).Select(k => Rows.Average(row => Math.Pow(row[k] - means[k], 2)))];
        double overall = means.Average(), all = Rows.SelectMany(row => row).Average(value => Math.Pow(value - overall, 2));
        foreach (Moments moments in new[] { whole, front, sent })
        {
            (float[] mean, float[] scale) = moments.PerSlot(8);
            Close(mean, means);
            Close(scale, [.. variances.Select(variance => 1 / Math.Sqrt(variance))]);
            (float[] oneMean, float[] oneScale) = moments.Overall(8);
            Close(oneMean, [overall]);
            Close(oneScale, [1 / Math.Sqrt(all)]);
            moments.Ranges().Should().Equal(11, 6);
            moments.Bounds().Least.Should().Equal(-4, -2);
            moments.Bounds().Most.Should().Equal(7, 4);
            moments.Whole().Should().Equal(0);
            moments.Constant(8).Should().BeEmpty();
        }
        stream.Length.Should().Be(1 + 2 * (3 * 8 + 1 + 2 * 4));

        static Moments Of(float[][] rows)
        {
            var moments = new Moments(2);
            foreach (float[] row in rows)
                moments.Add(row);
            return moments;
        }

        static void Close(float[] found, double[] expected) =>
            found.Select(value => (double)value).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-6 * Math.Max(1, Math.Abs(b)));
    }

    /// <summary>
    /// Two values, and whether they are one: their deviation is half of their distance, and is one where it is no more than float32's
    /// distance of neighbours at their mean, 2⁻²³, or 1e-30.
    /// </summary>
    [Theory]
    [InlineData(1f, 1f, true)]
    [InlineData(1f, 1 + 1f / (1 << 22), true)]
    [InlineData(1f, 1 + 3f / (1 << 22), false)]
    [InlineData(-1f, -1 - 1f / (1 << 22), true)]
    [InlineData(-1f, -1 - 3f / (1 << 22), false)]
    [InlineData(0f, 1.9e-30f, true)]
    [InlineData(-1.1e-30f, 1.1e-30f, false)]
    [InlineData(-1e38f, 1e38f, false)]
    public void Values_that_only_rounding_tells_apart_are_constant_and_keep_their_scale(float a, float b, bool isConstant)
    {
        var moments = new Moments(1);
        moments.Add([a]);
        moments.Add([b]);
        moments.Constant(2).Should().Equal(isConstant ? [0] : []);
        float scale = moments.PerSlot(2).Scale[0];
        if (isConstant)
            scale.Should().Be(1);
        else
            scale.Should().BeApproximately((float)(2 / Math.Abs((double)a - b)), 1e-6f * (float)(2 / Math.Abs((double)a - b)));
    }

    /// <summary>The published round of SplitMix64, in whole numbers of any size.</summary>
    [Fact]
    public void A_check_number_goes_on_from_number_to_number()
    {
        BigInteger word = BigInteger.One << 64, expected = 0x9E3779B97F4A7C15;
        var check = new CheckNumber();
        check.Value.Should().Be(0x9E3779B97F4A7C15);
        foreach (float number in new[] { 0f, 1, -2.5f, float.NaN })
        {
            BigInteger z = (expected ^ BitConverter.SingleToUInt32Bits(number)) * 0xBF58476D1CE4E5B9 % word;
            expected = z ^ (z >> 29);
            check.Add(number);
            check.Value.Should().Be((ulong)expected);
        }
        check.ToString().Should().Be(((ulong)expected).ToString("x16"));
        var atOnce = new CheckNumber();
        atOnce.Add([0, 1, -2.5f, float.NaN]);
        atOnce.Value.Should().Be(check.Value);
        var both = new CheckNumber();
        both.Restore(check.Value);
        both.Value.Should().Be(check.Value);
        both.Add(atOnce);
        both.Value.Should().NotBe(check.Value);
        both.Clear();
        both.Value.Should().Be(0x9E3779B97F4A7C15);
    }

    [Fact]
    public void Rows_are_known_by_their_numbers_and_where_they_have_an_order_by_that()
    {
        (float[] Features, float Label, float Weight)[] rows = [([1, 2], 0, 1), ([3, 4], 1, 2), ([5, 7], 1, 0.5f)];
        string same = Of(rows, true).CheckNumber;
        Of(rows, true).CheckNumber.Should().Be(same);
        Of([.. rows.Reverse()], true).CheckNumber.Should().NotBe(same);
        string content = Of(rows, false).CheckNumber;
        Of([.. rows.Reverse()], false).CheckNumber.Should().Be(content);
        foreach ((float[], float, float)[] other in new[]
        {
            rows[..2], [rows[0], rows[1], ([5, 8], 1, 0.5f)], [rows[0], rows[1], ([5, 7], 0, 0.5f)], [rows[0], rows[1], ([5, 7], 1, 1)],
        })
        {
            Of(other, true).CheckNumber.Should().NotBe(same);
            Of(other, false).CheckNumber.Should().NotBe(content);
        }
        RowStatistics all = Of(rows, true), plain = DenseRows.Statistics(new RowShape(2, 1, IsWeighted: true));
        foreach ((float[] features, float label, float weight) in rows)
            plain.Add(features, [label], weight);
        (plain.AreOrdered, plain.CheckNumber).Should().Be((true, same), "rows have an order where nothing else is said");
        all.Describe().Should().Be($"3 rows of 2 features (check number {same})");
        all.LabelWeights.Should().Equal(new Dictionary<float, double> { [0] = 1, [1] = 2.5 });
        all.MeanFeatureBytes.Should().Be(8);
        all.FeatureRanges().Should().Equal(4, 5);
        Of([], true).MeanFeatureBytes.Should().Be(0);

        RowStatistics Of((float[] Features, float Label, float Weight)[] some, bool ordered)
        {
            var shape = new RowShape(2, 1, IsWeighted: true);
            var statistics = new RowStatistics(new DenseFormat(2), shape) { AreOrdered = ordered };
            foreach ((float[] features, float label, float weight) in some)
                statistics.Add(features, [label], weight);
            return statistics;
        }
    }

    [Fact]
    public void Statistics_of_parts_add_up_and_travel()
    {
        RowStatistics front = Part(0, 3), back = Part(3, 8), whole = Part(0, 8);
        front.Merge(back);
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        front.Write(writer);
        stream.Position = 0;
        RowStatistics sent = Part(2, 3);
        sent.Read(new BinaryReader(stream));
        foreach (RowStatistics each in new[] { front, sent })
        {
            each.Count.Should().Be(8);
            each.LabelWeights.Should().Equal(whole.LabelWeights);
            each.MeanFeatureBytes.Should().Be(whole.MeanFeatureBytes);
            each.Labels().Mean[0].Should().BeApproximately(whole.Labels().Mean[0], 1e-6f);
            each.Features(FeatureNormalization.PerSlot).Mean.Should()
                .Equal(whole.Features(FeatureNormalization.PerSlot).Mean, (a, b) => Math.Abs(a - b) < 1e-6);
            each.WholeFeatures().Should().Equal(0);
            each.ConstantFeatures().Should().Equal(2);
            each.CheckNumber.Should().Be(front.CheckNumber);
        }

        RowStatistics Part(int from, int to)
        {
            RowStatistics statistics = DenseRows.Statistics(new RowShape(3, 1, IsWeighted: true));
            for (int i = from; i < to; i++)
                statistics.Add([.. Rows[i], 5], [i % 3], 1 + i);
            return statistics;
        }
    }

    [Fact]
    public void A_typical_row_has_a_label_that_there_is_or_the_mean_of_many()
    {
        using DisposeScope scope = NewDisposeScope();
        RowStatistics one = DenseRows.Statistics(new RowShape(2, 1, IsWeighted: false)),
            two = DenseRows.Statistics(new RowShape(2, 2, IsWeighted: true));
        one.Add([1, 2], [3], 1);
        one.Add([5, 6], [2], 1);
        two.Add([1, 2], [3, 10], 1);
        two.Add([5, 6], [5, 20], 1);
        using RowBatch first = one.CreateTypical(), second = two.CreateTypical(),
            none = DenseRows.Statistics(new RowShape(2, 0, IsWeighted: false)).CreateTypical();
        first.Labels!.data<float>().ToArray().Should().Equal(2);
        first.Weights.Should().BeNull();
        second.Labels!.data<float>().ToArray().Should().Equal(4, 15);
        second.Labels.shape.Should().Equal(1, 2);
        second.Weights!.data<float>().ToArray().Should().Equal(1);
        none.Labels.Should().BeNull();
        (first.Count, first.First, first.Total, first.IsOwn, first.IsStandIn).Should().Be((1, 0, 1, false, false));
    }

    [Fact]
    public void Of_more_labels_than_classes_can_be_the_first_4096_are_counted()
    {
        RowStatistics statistics = DenseRows.Statistics(new RowShape(1, 1, IsWeighted: false));
        for (int i = 0; i < 5000; i++)
            statistics.Add([0], [i], 1);
        statistics.Add([0], [4095], 2);
        statistics.Add([0], [4096], 2);
        statistics.LabelWeights.Should().HaveCount(4096);
        (statistics.LabelWeights[4095], statistics.LabelWeights.ContainsKey(4096)).Should().Be((3, false));
    }
}
