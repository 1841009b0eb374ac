using Microsoft.ML.NeuralOde.Inference;

namespace Microsoft.ML.NeuralOde.Core.Tests.Inference;

public sealed unsafe class PackedLinearTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 16)]
    [InlineData(16, 17)]
    [InlineData(64, 64)]
    [InlineData(100, 200)]
    public void It_is_a_linear_layer_and_a_row_is_the_same_in_any_company(int inputs, int outputs)
    {
        var random = new Random(inputs);
        float[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() * 2 - 1))];
        float[] weight = Draw(inputs * outputs), bias = Draw(outputs);
        var layer = new PackedLinear(weight, bias);
        const int Rows = 9;
        float[] x = Draw(Rows * inputs);
        float[] together = Apply(layer, x, Rows);

        for (int row = 0; row < Rows; row++)
        {
            float[] own = x[(row * inputs)..((row + 1) * inputs)];
            float[] alone = Apply(layer, own, 1);
            alone.Should().Equal(together[(row * layer.Width)..((row + 1) * layer.Width)]);
            for (int output = 0; output < outputs; output++)
            {
                double exact = bias[output] + Enumerable.Range(0, inputs).Sum(i => (double)weight[output * inputs + i] * own[i]);
                ((double)alone[output]).Should().BeApproximately(exact, 1e-5);
            }
            alone.Skip(outputs).All(padding => padding == 0).Should().BeTrue();
        }
    }

    [Theory]
    [InlineData(Activation.Tanh)]
    [InlineData(Activation.Softplus)]
    [InlineData(Activation.Silu)]
    [InlineData(Activation.Relu)]
    public void Activations_are_exact_to_float_precision(Activation activation)
    {
        float[] values = [.. Enumerable.Range(-400, 800).Select(i => i / 20f), 1e-8f, -1e-6f, 1e-3f, -0.0f, 0.2499f, 0.2501f, 88, -88,
            200, -200, float.NaN, float.PositiveInfinity, 30, -30, 5e-4f, -5e-4f];
        float[] results = [.. values];
        fixed (float* r = results)
            ActivationMap.Apply(activation, r, results.Length);
        for (int i = 0; i < values.Length; i++)
        {
            double x = values[i];
            double exact = activation switch
            {
                Activation.Tanh => Math.Tanh(x),
                Activation.Softplus => x > 30 ? x : Math.Log(1 + Math.Exp(x)) is var y && y < 1e-6 ? Math.Exp(x) : y,
                Activation.Silu => x / (1 + Math.Exp(-x)),
                _ => x < 0 ? 0 : x,
            };
            if (double.IsNaN(exact))
                float.IsNaN(results[i]).Should().BeTrue($"{activation}({x}) is not a number");
            else if (double.IsInfinity(exact))
                results[i].Should().Be((float)exact);
            else
                ((double)results[i]).Should().BeApproximately(exact, 1e-35 + 1e-6 * Math.Abs(exact), $"{activation}({x})");
        }
    }

    private static float[] Apply(PackedLinear layer, float[] x, int rows)
    {
        var y = new float[rows * layer.Width];
        fixed (float* from = x, to = y)
            layer.Apply(from, layer.Inputs, rows, to, layer.Width);
        return y;
    }
}
