using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Augmented;

/// <summary>A problem that no flow of its own dimension can solve.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Inputs">Shape <c>[points, features]</c>.</param>
/// <param name="Targets">Shape <c>[points, 1]</c>.</param>
/// <param name="HasHead">Whether a linear layer reads the final state; otherwise its first number is the result.</param>
internal sealed record CrossingProblem(string Name, Tensor Inputs, Tensor Targets, bool HasHead)
{
    public long Features => Inputs.shape[1];

    /// <summary>The class of each point, for its colour.</summary>
    public int[] Classes => [.. Targets.data<float>().Select(target => target > 0 ? 1 : 0)];

    /// <summary>What the classes are.</summary>
    public IReadOnlyList<string> Names => HasHead ? ["disc", "ring"] : ["to the left", "to the right"];

    /// <summary>g(x) = −x on the line: points would have to pass through each other.</summary>
    public static CrossingProblem Line()
    {
        Tensor x = linspace(-1, 1, 21).reshape(-1, 1);
        return new CrossingProblem("line", x, x.neg(), HasHead: false);
    }

    /// <summary>A disc inside a ring, to be told apart by a plane: the disc cannot leave the ring in the plane.</summary>
    public static CrossingProblem Spheres(int seed)
    {
        const int Each = 100;
        var random = new Random(seed);
        var points = new float[4 * Each];
        var targets = new float[2 * Each];
        for (int i = 0; i < 2 * Each; i++)
        {
            bool isInner = i < Each;
            double angle = 2 * Math.PI * random.NextDouble(),
                radius = isInner ? 0.5 * Math.Sqrt(random.NextDouble()) : 1 + 0.5 * random.NextDouble();
            points[2 * i] = (float)(radius * Math.Cos(angle));
            points[2 * i + 1] = (float)(radius * Math.Sin(angle));
            targets[i] = isInner ? -1 : 1;
        }
        return new CrossingProblem("spheres", tensor(points, [2 * Each, 2]), tensor(targets, [2 * Each, 1]), HasHead: true);
    }
}
