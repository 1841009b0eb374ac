using Microsoft.ML.NeuralOde.Networks;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Prediction;

/// <summary>
/// From the network's outputs, which are given by its last bias alone, to scores; without tensors, and through torch for a solver that
/// needs it.
/// </summary>
public class ScoreTests
{
    public static TheoryData<string, float[], double[]> Classes
    {
        get
        {
            var data = new TheoryData<string, float[], double[]>();
            foreach (string solver in new[] { "dopri5", "trbdf2" })
            {
                data.Add(solver, [1, 2, 4], [Math.Exp(-3) / Sum, Math.Exp(-2) / Sum, 1 / Sum]);
                data.Add(solver, [1001, 1002, 1004], [Math.Exp(-3) / Sum, Math.Exp(-2) / Sum, 1 / Sum]);
                data.Add(solver, [-1003, -1002, -1000], [Math.Exp(-3) / Sum, Math.Exp(-2) / Sum, 1 / Sum]);
                data.Add(solver, [1000, 0, -1000], [1, 0, 0]);
                data.Add(solver, [-1000, -1000, -1000], [1.0 / 3, 1.0 / 3, 1.0 / 3]);
                data.Add(solver, [3e38f, 3e38f, -3e38f], [0.5, 0.5, 0]);
            }
            return data;
        }
    }

    private static double Sum => 1 + Math.Exp(-2) + Math.Exp(-3);

    [Theory]
    [MemberData(nameof(Classes))]
    public void Probabilities_are_right_however_large_the_logits(string solver, float[] logits, double[] expected) =>
        Equal(Score(OutputKind.Classes, solver, logits), expected);

    [Theory]
    [InlineData("dopri5")]
    [InlineData("trbdf2")]
    public void Probabilities_of_true_are_the_logistic_function_of_the_odds(string solver)
    {
        foreach ((float odds, double probability) in new (float, double)[] { (0, 0.5), (2, 1 / (1 + Math.Exp(-2))),
            (-3, 1 / (1 + Math.Exp(3))), (1000, 1), (-1000, 0) })
            Equal(Score(OutputKind.Odds, solver, [odds]), [odds, probability]);
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("trbdf2")]
    public void Targets_are_in_units_of_the_label(string solver) =>
        // Scales are what a label is multiplied by.
        Equal(Score(OutputKind.Values, solver, [1.5f, -2], network => network.NormalizeOutput(([10, 100], [0.5f, 0.25f]))),
            [10 + 3, 100 - 8]);

    /// <summary>The scores of each of seven rows, which must all be the same.</summary>
    private static float[] Score(OutputKind kind, string solver, float[] outputs, Action<NeuralOdeNetwork>? prepare = null)
    {
        var network = new EncodedNetwork(new DenseDescription(2, outputs.Length, [4], [4], 1, solver, 1e-3, 1e-3, null));
        using (no_grad())
        {
            network.Head.weight!.zero_();
            network.Head.bias!.copy_(tensor(outputs));
        }
        prepare?.Invoke(network);
        using var model = new NeuralOdeModel(network, kind);
        (network.ToRowNetwork() is null).Should().Be(solver == "trbdf2");
        const int Rows = 7;
        int width = model.OutputCount;
        var scores = new float[Rows * width];
        model.Score([.. Enumerable.Range(0, 2 * Rows).Select(i => i - 5f)], Rows, scores);
        for (int row = 1; row < Rows; row++)
            scores[(row * width)..((row + 1) * width)].Should().Equal(scores[..width]);
        return scores[..width];
    }

    private static void Equal(float[] found, double[] expected) => found.Should()
        .Equal(expected, (a, b) => Math.Abs(a - b) < 1e-6 * Math.Max(1, Math.Abs(b)));
}
