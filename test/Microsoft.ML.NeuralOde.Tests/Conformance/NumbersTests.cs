using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Conformance;

public class NumbersTests
{
    [Fact]
    public void No_method_hands_torch_a_number_that_a_collection_may_free() =>
        UnguardedNumbers.In(typeof(NeuralOdeCatalog).Assembly).Should().BeEmpty();

    [Fact]
    public void No_chain_of_calls_leaves_a_tensor_to_collections() =>
        string.Join('\n', UnscopedChains.In(typeof(NeuralOdeCatalog).Assembly)).Should().BeEmpty();
}
