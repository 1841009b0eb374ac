namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

public class HeapRetentionTests
{
    /// <summary>A sixteenth of the memory stays, from 64 to 256 MiB; pieces of a quarter of that, or of 32 MiB, are mapped.</summary>
    [Theory]
    [InlineData(256, 64, 32)]
    [InlineData(1024, 64, 32)]
    [InlineData(2048, 128, 32)]
    [InlineData(3072, 192, 48)]
    [InlineData(4096, 256, 64)]
    [InlineData(1 << 20, 256, 64)]
    public void What_stays_is_a_share_of_the_memory_within_limits(long availableMegabytes, int kept, int mapped) =>
        HeapRetention.Thresholds(availableMegabytes << 20).Should().Be((kept << 20, mapped << 20));
}
