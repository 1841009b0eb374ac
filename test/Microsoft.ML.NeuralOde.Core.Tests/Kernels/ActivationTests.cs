using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Core.Tests.Kernels;

/// <summary>The kernels' activations and their slopes are torch's in float64, over all sizes of the argument.</summary>
public unsafe class ActivationTests
{
    public static TheoryData<string> Names => [.. Enum.GetNames<Nonlinearity>()];

    [Theory]
    [MemberData(nameof(Names))]
    public void Values_and_slopes_are_those_of_torch(string name)
    {
        Check<double>(name, 4e-15);
        Check<float>(name, 4e-7);
    }

    private static void Check<T>(string name, double tolerance)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        using DisposeScope scope = NewDisposeScope();
        DenseKernels<T> kernels = DenseKernels<T>.Instance;
        int count = kernels.Pad(4001);
        var memory = new Scratch<T>(2 * count);
        var arguments = new double[count];
        for (int i = 0; i < count; i++)
        {
            // From −40 to 40, and closer together near 0, where the functions bend.
            double place = (i - 2000) / 2000.0;
            memory.Start[i] = T.CreateTruncating(40 * place * Math.Abs(place));
            arguments[i] = double.CreateTruncating(memory.Start[i]);
        }
        kernels.Activate(Enum.Parse<Nonlinearity>(name), memory.Start, memory.Start + count, count, 1, null, null);
        Tensor x = tensor(arguments).requires_grad_();
        Tensor y = Torch(name, x);
        y.sum().backward();
        double[] values = y.detach().data<double>().ToArray(), slopes = x.grad!.data<double>().ToArray();
        for (int i = 0; i < count; i++)
        {
            // Torch takes softplus for x beyond 20.
            double allowed = tolerance * Math.Max(1, Math.Max(Math.Abs(arguments[i]), Math.Abs(values[i]))) + (name == "Softplus" ? 3e-9 : 0);
            double.CreateTruncating(memory.Start[i]).Should().BeApproximately(values[i], allowed, $"{name} at {arguments[i]}");
            if (name != "Relu" || arguments[i] != 0)
                double.CreateTruncating(memory.Start[count + i])
                    .Should().BeApproximately(slopes[i], allowed, $"{name}′ at {arguments[i]}");
        }
    }

    private static Tensor Torch(string name, Tensor x) => name switch
    {
        nameof(Nonlinearity.Tanh) => x.tanh(),
        nameof(Nonlinearity.Softplus) => nn.functional.softplus(x),
        nameof(Nonlinearity.Relu) => x.relu(),
        nameof(Nonlinearity.Silu) => nn.functional.silu(x),
        nameof(Nonlinearity.Sigmoid) => x.sigmoid(),
        nameof(Nonlinearity.Square) => x.square(),
        nameof(Nonlinearity.Cube) => x.pow(3),
        nameof(Nonlinearity.Gelu) => nn.GELU().call(x),
        _ => nn.GELU(TorchSharp.Modules.GELU.Approximate.tanh).call(x),
    };
}
