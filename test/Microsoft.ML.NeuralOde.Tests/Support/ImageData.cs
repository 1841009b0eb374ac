using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>Noisy images of stripes: lying, standing, and neither.</summary>
internal static class ImageData
{
    private static readonly string[] Names = ["lying", "standing", "dots"];

    public static ImageShape Colour { get; } = new(3, 12, 14);

    public static List<ImageRow> Rows(int count, ImageShape shape, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i => new ImageRow
        {
            Label = Names[i % 3],
            IsLying = i % 3 == 0,
            Brightness = i % 3,
            Features = Pixels(i % 3, shape, random),
        })];
    }

    /// <summary>The rows with a feature column of some dimensions.</summary>
    public static IDataView View(MLContext mlContext, IEnumerable<ImageRow> rows, params int[] dimensions)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(ImageRow));
        schema[nameof(ImageRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dimensions);
        return mlContext.Data.LoadFromEnumerable(rows, schema);
    }

    public static IDataView Keyed(MLContext mlContext, IEnumerable<ImageRow> rows, params int[] dimensions) =>
        mlContext.Transforms.Conversion
        .MapValueToKey("Label").Fit(View(mlContext, Rows(3, Colour), 3, 12, 14)).Transform(View(mlContext, rows, dimensions));

    private static float[] Pixels(int kind, ImageShape shape, Random random)
    {
        var pixels = new float[shape.Channels * shape.Height * shape.Width];
        int phase = random.Next(4), at = 0;
        for (int c = 0; c < shape.Channels; c++)
            for (int y = 0; y < shape.Height; y++)
                for (int x = 0; x < shape.Width; x++)
                {
                    int place = kind switch { 0 => y, 1 => x, _ => x + y };
                    pixels[at++] = (((place + phase) / 2 % 2 == 0) ? 0.8f : 0.2f) + 0.1f * random.NextSingle() + 0.05f * c;
                }
        return pixels;
    }
}

internal sealed class ImageRow
{
    public string Label { get; set; } = "";

    public bool IsLying { get; set; }

    public float Brightness { get; set; }

    public float[] Features { get; set; } = [];
}
