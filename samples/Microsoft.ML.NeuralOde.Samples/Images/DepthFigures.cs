using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>What a network of one depth reached.</summary>
/// <param name="Network">Its name.</param>
/// <param name="Depth">Layers, or evaluations of the right-hand side.</param>
/// <param name="TestAccuracy">Share of the test images that it recognises.</param>
/// <param name="Parameters">Its weights.</param>
/// <param name="SecondsPerEpoch">Mean duration of an epoch.</param>
/// <param name="MemoryMegabytes">What the block holds between the way forward and the way back of a batch; null where that is not
/// known.</param>
/// <param name="AdjointMegabytes">The same with the gradient of the adjoint equation; null where there is none.</param>
internal sealed record DepthResult(
    string Network, int Depth, double TestAccuracy, long Parameters, double SecondsPerEpoch, double? MemoryMegabytes,
    double? AdjointMegabytes);

/// <summary>How sure a network is of an image's class along its depth.</summary>
/// <param name="Digit">The class.</param>
/// <param name="Depths">From 0 in front of the block to 1 behind it.</param>
/// <param name="Probabilities">What the head says of the true class there.</param>
internal sealed record DepthPath(string Digit, double[] Depths, double[] Probabilities);

/// <summary>The picture of <c>resnet-vs-ode</c>.</summary>
internal static class DepthFigure
{
    public static Figure Create(IReadOnlyList<DepthResult> results, IReadOnlyList<DepthPath> discrete, IReadOnlyList<DepthPath> continuous)
    {
        var figures = new List<Figure>
        {
            Figures.Lines("ResNet: as many states as layers", "depth", "probability of the true class", Curves(discrete), markers: true),
            Figures.Lines("ODE: a path", "depth t", "probability of the true class", Curves(continuous)),
            Figures.Lines(
                "accuracy", "layers, or evaluations", "test accuracy (%)", Of(r => 100 * r.TestAccuracy), logX: true, markers: true),
        };
        List<Curve> memory = [.. Of(r => r.MemoryMegabytes ?? double.NaN)];
        List<DepthResult> adjoint = [.. results.Where(result => result.AdjointMegabytes is not null)];
        if (adjoint.Count > 0)
            memory.Add(new Curve(
                "ODE, adjoint", [.. adjoint.Select(r => (double)r.Depth)], [.. adjoint.Select(r => r.AdjointMegabytes!.Value)]));
        figures.Add(memory.Exists(curve => curve.Y.Any(double.IsFinite))
            ? Figures.Lines(
                "memory of a training step", "layers, or evaluations", "MB held by the block", memory, logX: true, markers: true)
            : Figures.Lines("time", "layers, or evaluations", "seconds an epoch", Of(r => r.SecondsPerEpoch), logX: true, markers: true));
        return Figure.Combine("ResNet and ODE", 2, figures);

        List<Curve> Of(Func<DepthResult, double> value) => [.. results.GroupBy(result => result.Network)
            .Select(group => new Curve(group.Key, [.. group.Select(r => (double)r.Depth)], [.. group.Select(value)]))];
    }

    private static List<Curve> Curves(IReadOnlyList<DepthPath> paths) =>
        [.. paths.Select(path => new Curve($"a {path.Digit}", path.Depths, path.Probabilities))];
}
