using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>A digit as a vector.</summary>
internal sealed class PixelRow
{
    [VectorType(MnistDataset.ImageSize * MnistDataset.ImageSize)]
    public float[] Features { get; set; } = [];

    public string Label { get; set; } = "";

    public static PixelRow[] From(MnistImages images) => [.. Enumerable.Range(0, images.Count).Select(i => new PixelRow
    {
        Features = Array.ConvertAll(images.GetPixels(i).ToArray(), pixel => pixel / 255f),
        Label = $"{images.Labels.Span[i]}",
    })];
}
