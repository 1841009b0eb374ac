namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>The reference problems' right-hand sides.</summary>
internal static class Problems
{
    public static Tensor Decay(Tensor t, Tensor y) => -y;

    /// <summary>y′ = −2y + sin t; y(0) = 0 gives y = (2 sin t − cos t + e^(−2t)) / 5.</summary>
    public static Tensor Forced(Tensor t, Tensor y) => -2 * y + t.sin();

    public static double ForcedSolution(double t) => (2 * Math.Sin(t) - Math.Cos(t) + Math.Exp(-2 * t)) / 5;

    /// <summary>y′ = −y² cos t: non-linear and non-autonomous; y = 1 / (1/y₀ + sin t).</summary>
    public static Tensor Quadratic(Tensor t, Tensor y) => -y * y * t.cos();

    public static double QuadraticSolution(double t, double y0) => 1 / (1 / y0 + Math.Sin(t));

    /// <summary>y′ = e^(−t) cos² y: non-linear and non-autonomous; tan y = tan y₀ + 1 − e^(−t).</summary>
    public static Tensor Tangent(Tensor t, Tensor y) => (-t).exp() * y.cos().square();

    public static double TangentSolution(double t, double y0) => Math.Atan(Math.Tan(y0) + 1 - Math.Exp(-t));

    public static Tensor Spiral(Tensor t, Tensor y)
    {
        using Tensor a = tensor(new[] { -0.1, 2.0, -2.0, -0.1 }, [2, 2], y.dtype);
        return y.pow(3).matmul(a);
    }

    /// <summary>Van der Pol's oscillator with μ = 5; the last dimension holds (x, v).</summary>
    public static Tensor VanDerPol5(Tensor t, Tensor y) => VanDerPol(y, 5);

    public static Tensor VanDerPol(Tensor y, double mu)
    {
        Tensor x = y.narrow(-1, 0, 1);
        Tensor v = y.narrow(-1, 1, 1);
        return cat([v, mu * (1 - x * x) * v - x], -1);
    }

    /// <summary>H. H. Robertson's reaction, whose rates differ by nine powers of ten.</summary>
    public static Tensor Robertson(Tensor t, Tensor y)
    {
        Tensor a = y[0], b = y[1], c = y[2];
        Tensor slow = 0.04 * a, back = 1e4 * b * c, fast = 3e7 * b * b;
        return stack([back - slow, slow - back - fast, fast]);
    }

    public static double MaximumDifference(Tensor a, Tensor b) => (a - b).abs().max().ToDouble();
}

/// <summary>f(t, y) = tanh(y W1ᵀ + b1) W2ᵀ + b2 + t wt, with the reference weights.</summary>
internal sealed class ReferenceNetwork : nn.Module<Tensor, Tensor, Tensor>
{
    public static readonly string[] Names = ["W1", "b1", "W2", "b2", "wt"];

    public ReferenceNetwork()
        : base(nameof(ReferenceNetwork))
    {
        Weights = [.. Names.Select(name => new TorchSharp.Modules.Parameter(References.Network(name, "weights")))];
        for (int i = 0; i < Names.Length; i++)
            register_parameter(Names[i], Weights[i]);
    }

    public TorchSharp.Modules.Parameter[] Weights { get; }

    public override Tensor forward(Tensor t, Tensor y) =>
        (y.matmul(Weights[0].t()) + Weights[1]).tanh().matmul(Weights[2].t()) + Weights[3] + t * Weights[4];
}
