using System.Numerics;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>
/// Seeds made of seeds: a resumed training has to draw what the one before would have drawn, on every machine and version.
/// </summary>
public class SeedTests
{
    private static readonly BigInteger Word = BigInteger.One << 64;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-7)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void Each_use_and_moment_has_the_seed_that_MurmurHash3_makes_of_it(int seed)
    {
        Seeds.Weights(seed).Should().Be(Reference(seed, 1, 0));
        Seeds.Split(seed).Should().Be(Reference(seed, 2, 0));
        foreach (int epoch in new[] { 1, 2, 1000 })
            Seeds.Order(seed, epoch).Should().Be(Reference(seed, 3, epoch));
        foreach (long step in new[] { 0, 1, 5, 1L << 40 })
            Seeds.Batch(seed, step).Should().Be(Reference(seed, 4, step));
        Seeds.Rows(seed, 0).Should().Be(seed, "the first row of a batch has the batch's own");
        foreach (long first in new[] { 1, 64, 1L << 33 })
            Seeds.Rows(seed, first).Should().Be(Reference(seed, 5, first));
    }

    [Fact]
    public void The_reference_has_the_published_values() =>
        // fmix64 of 1 and of 0.
        (Mix(1), Mix(0)).Should().Be((new BigInteger(0xB456BCFC34C2CB2C), BigInteger.Zero));

    /// <summary>The same in whole numbers of any size.</summary>
    private static int Reference(int seed, int use, long moment)
    {
        BigInteger low = (((BigInteger)seed + (BigInteger.One << 32)) % (BigInteger.One << 32) << 32) + use;
        return (int)(Mix(low ^ (moment * new BigInteger(0x9E3779B97F4A7C15) % Word)) % (BigInteger.One << 31));
    }

    private static BigInteger Mix(BigInteger z)
    {
        foreach (ulong factor in new[] { 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53 })
            z = (z ^ (z >> 33)) * factor % Word;
        return z ^ (z >> 33);
    }
}
