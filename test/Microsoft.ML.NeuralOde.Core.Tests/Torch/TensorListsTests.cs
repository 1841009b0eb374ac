namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

public class TensorListsTests
{
    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void Operations_on_lists_are_those_on_each_tensor(ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] tensors = [tensor(new[] { 3.0, -4.0 }).to(type), tensor(new[] { -12.0 }).to(type).reshape(1, 1), zeros(0, type)];
        Tensor[] more = [ones(2, type), ones(1, 1, type), zeros(0, type)];

        TensorLists.Norms(tensors).Should().Equal(5, 12, 0);
        Numbers([TensorLists.LargerMagnitude(tensors[0], tensor(new[] { 3.5, 1.0 }).to(type))]).Should().Equal(3.5, 4);
        TensorLists.Add(tensors, more, 0.5);
        Numbers(tensors).Should().Equal(3.5, -3.5, -11.5);
        TensorLists.Scale(tensors, -2);
        Numbers(tensors).Should().Equal(-7, 7, 23);
        TensorLists.Zero(tensors);
        Numbers(tensors).Should().Equal(0, 0, 0);
    }

    [Fact]
    public void Nothing_is_done_to_an_empty_list()
    {
        TensorLists.Zero([]);
        TensorLists.Add([], [], 1);
        TensorLists.Norms([]).Should().BeEmpty();
    }

    private static double[] Numbers(Tensor[] tensors) =>
        [.. tensors.SelectMany(one => one.to(ScalarType.Float64).reshape(-1).data<double>().ToArray())];
}
