namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

/// <summary>Operations on lists, by torch's own for lists, which devices take, and one after the other, as the processor does.</summary>
public class TensorListsTests
{
    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void Operations_on_lists_are_those_on_each_tensor(ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] first = Create(type), second = Create(type), more = [ones(2, type), ones(1, 1, type), zeros(0, type)];
        Tensor other = tensor(new[] { 3.5, 1.0 }).to(type);
        TensorScripts.Norms(first).Should().Equal(5, 12, 0);
        TensorLists.Norms(second).Should().Equal(5, 12, 0);
        Numbers([TensorScripts.LargerMagnitude(first[0], other)]).Should().Equal(3.5, 4);
        Numbers([TensorLists.LargerMagnitude(second[0], other)]).Should().Equal(3.5, 4);
        foreach ((Action<Tensor[]> script, Action<Tensor[]> list, double[] expected) in new (Action<Tensor[]>, Action<Tensor[]>, double[])[]
        {
            (tensors => TensorScripts.Add(tensors, more, 0.5), tensors => TensorLists.Add(tensors, more, 0.5), [3.5, -3.5, -11.5]),
            (tensors => TensorScripts.Scale(tensors, -2), tensors => TensorLists.Scale(tensors, -2), [-7, 7, 23]),
            (TensorScripts.Zero, TensorLists.Zero, [0, 0, 0]),
        })
        {
            script(first);
            list(second);
            Numbers(first).Should().Equal(expected);
            Numbers(second).Should().Equal(expected);
        }
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(0.9, false)]
    [InlineData(1, true)]
    [InlineData(0.9, true)]
    public void Steps_of_Adam_are_those_of_the_formula(double decay, bool byScript)
    {
        const double KeptMean = 0.8, KeptSquare = 0.95, Correction = 1.7, Epsilon = 1e-3, Rate = 0.01;
        using DisposeScope scope = NewDisposeScope();
        double[][] w = [[1, -2], [0.5]], g = [[0.3, -0.1], [2]], m = [[0.1, 0.2], [-0.3]], v = [[0.01, 0.02], [0.5]];
        Tensor[] weights = Of(w), means = Of(m), squares = Of(v);
        (byScript ? (Adam)TensorScripts.Adam : TensorLists.Adam)(
            weights, Of(g), means, squares, decay, KeptMean, KeptSquare, Correction, Epsilon, Rate);
        for (int i = 0; i < w.Length; i++)
            for (int j = 0; j < w[i].Length; j++)
            {
                double mean = KeptMean * m[i][j] + (1 - KeptMean) * g[i][j];
                double square = KeptSquare * v[i][j] + (1 - KeptSquare) * g[i][j] * g[i][j];
                means[i][j].ToDouble().Should().BeApproximately(mean, 1e-15);
                squares[i][j].ToDouble().Should().BeApproximately(square, 1e-15);
                weights[i][j].ToDouble().Should()
                    .BeApproximately(decay * w[i][j] - Rate * mean / (Math.Sqrt(square) * Correction + Epsilon), 1e-15);
            }

        static Tensor[] Of(double[][] lists) => Array.ConvertAll(lists, list => tensor(list));
    }

    [Fact]
    public void Nothing_is_done_to_an_empty_list()
    {
        foreach (Action act in new Action[]
        {
            () => TensorLists.Zero([]), () => TensorScripts.Zero([]), () => TensorLists.Add([], [], 1), () => TensorScripts.Add([], [], 1),
            () => TensorLists.Norms([]).Should().BeEmpty(), () => TensorScripts.Norms([]).Should().BeEmpty(),
        })
            act.Should().NotThrow();
    }

    private delegate void Adam(
        Tensor[] weights, Tensor[] gradients, Tensor[] means, Tensor[] squares, double decay, double keptMean, double keptSquare,
        double correction, double epsilon, double rate);

    private static Tensor[] Create(ScalarType type) =>
        [tensor(new[] { 3.0, -4.0 }).to(type), tensor(new[] { -12.0 }).to(type).reshape(1, 1), zeros(0, type)];

    private static double[] Numbers(Tensor[] tensors) =>
        [.. tensors.SelectMany(one => one.to(ScalarType.Float64).reshape(-1).data<double>().ToArray())];
}
