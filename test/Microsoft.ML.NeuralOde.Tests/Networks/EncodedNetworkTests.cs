using Microsoft.ML.NeuralOde.Networks;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

public class EncodedNetworkTests
{
    private const int Features = 11;

    // Rows and sizes on both sides of where the kernels take the encoder over.
    [Theory]
    [InlineData(5, new[] { 20, 12 })]
    [InlineData(40, new[] { 20, 12 })]
    [InlineData(129, new[] { 128, 64, 30 })]
    [InlineData(40, new[] { 12 })]
    [InlineData(2000, new[] { 33 })]
    [InlineData(40, new int[0])]
    public void Outputs_and_gradients_are_those_of_the_layers_by_themselves(int rows, int[] encoderLayers)
    {
        using DisposeScope scope = NewDisposeScope();
        // Steps of one size, which rounding does not move.
        var description = new DenseDescription(Features, 3, encoderLayers, [16], 1, OdeMethod.Rk4.Name, 1e-3, 1e-4, 0.25);
        using var network = new EncodedNetwork(description);
        Dictionary<string, nn.Module> children = network.named_children().ToDictionary(child => child.name, child => child.module);
        Tensor x = randn(rows, Features).requires_grad_(), cotangent = randn(rows, 3);

        Tensor state = x;
        for (int i = 0; i < encoderLayers.Length; i++)
            state = ((Linear)children[$"encoder{i}"]).call(i == 0 ? state : state.relu());
        Tensor expected = network.Head.call(network.Block.call(state));
        (Tensor found, SolverStatistics _) = network.Solve(x, network.Block.Options);

        AssertClose(expected, found);
        Tensor[] inputs = [x, .. network.parameters()];
        IList<Tensor> gradients = autograd.grad([expected], inputs, [cotangent]);
        foreach ((Tensor one, Tensor other) in gradients.Zip(autograd.grad([found], inputs, [cotangent])))
            AssertClose(one, other);
    }

    private static void AssertClose(Tensor expected, Tensor found)
    {
        found.shape.Should().Equal(expected.shape);
        double size = Math.Max(1, expected.abs().max().item<float>());
        ((double)(expected - found).abs().max().item<float>()).Should().BeLessThan(1e-4 * size);
    }
}
