using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>A row with everything that the trainers want.</summary>
internal sealed class ServedRow
{
    [VectorType(2)]
    public float[] Features { get; set; } = [0, 0];

    public bool Label { get; set; }

    public string Colour { get; set; } = "";

    public int Number { get; set; }

    public float Target { get; set; }

    [VectorType(2)]
    public float[] Targets { get; set; } = [0, 0];
}

/// <summary>A row of a table with columns of several types.</summary>
internal sealed class MixedRow
{
    public float Width { get; set; }

    public int Count { get; set; }

    public string Kind { get; set; } = "";

    public bool IsNew { get; set; }

    public float Target { get; set; }
}

internal sealed class PictureRow
{
    public string ImagePath { get; set; } = "";

    public string Label { get; set; } = "";
}

internal sealed class DrawnRow
{
    [ImageType(8, 8)]
    public MLImage Picture { get; set; } = null!;

    public string Label { get; set; } = "";
}

/// <summary>A small model of each kind, quickly trained.</summary>
internal static class ServedModels
{
    public static readonly string[] Kinds = ["multiclass", "numbered", "binary", "regression", "targets", "density", "anomaly"];

    public static (ITransformer Model, IDataView Data) Fit(MLContext mlContext, string kind, int seed = 1)
    {
        IDataView data = mlContext.Data.LoadFromEnumerable(Rows());
        IEstimator<ITransformer> pipeline = kind switch
        {
            "multiclass" => Classes("Colour"),
            "numbered" => Classes("Number"),
            "binary" => mlContext.BinaryClassification.Trainers.NeuralOde(Small(new NeuralOdeBinaryClassificationTrainer.Options(), seed)),
            "regression" =>
            mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" }, seed)),
            "targets" =>
            mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Targets" }, seed)),
            "density" => mlContext.Transforms.ContinuousFlowDensity(SmallFlow(new ContinuousFlowDensityEstimator.Options
            {
                ConditionColumnName = "Target",
                BitsPerDimensionColumnName = "Bits",
                LatentColumnName = "Latent",
            }, seed)),
            _ => mlContext.AnomalyDetection.Trainers.ContinuousFlow(SmallFlow(new ContinuousFlowAnomalyTrainer.Options(), seed)),
        };
        return (pipeline.Fit(data), data);

        IEstimator<ITransformer> Classes(string label) => mlContext.Transforms.Conversion.MapValueToKey("Class", label)
            .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(
                Small(new NeuralOdeClassificationTrainer.Options { LabelColumnName = "Class" }, seed)))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
    }

    /// <summary>A regression over a whole table.</summary>
    public static (ITransformer Model, IDataView Data) FitMixed(MLContext mlContext)
    {
        string[] kinds = ["short", "long", "wide"];
        IDataView data = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 60).Select(i => new MixedRow
        {
            Width = i % 7,
            Count = i % 5,
            Kind = kinds[i % 3],
            IsNew = i % 2 == 0,
            Target = i % 7 + 2 * (i % 5),
        }).ToList());
        return (mlContext.Transforms.Categorical.OneHotEncoding("Kinds", "Kind")
            .Append(mlContext.Transforms.Conversion.ConvertType([new("Counts", "Count"), new("News", "IsNew")], DataKind.Single))
            .Append(mlContext.Transforms.Concatenate("Features", "Width", "Counts", "Kinds", "News"))
            .Append(mlContext.Regression.Trainers.NeuralOde(
                Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" }, 1))).Fit(data), data);
    }

    /// <summary>A classifier of image files as the README has it, and some of its files.</summary>
    public static (ITransformer Model, IDataView Data, string[] Files) FitPictures(MLContext mlContext, string folder)
    {
        var rows = new List<PictureRow>();
        for (int i = 0; i < 40; i++)
        {
            string path = Path.Combine(folder, $"{i}.png");
            File.WriteAllBytes(path, Picture(12, 10, SKEncodedImageFormat.Png, i % 2 == 0, (byte)(150 + i)));
            rows.Add(new PictureRow { ImagePath = path, Label = i % 2 == 0 ? "left" : "right" });
        }
        IDataView data = mlContext.Data.LoadFromEnumerable(rows);
        return (mlContext.Transforms.LoadImages("Image", imageFolder: "", inputColumnName: "ImagePath")
            .Append(mlContext.Transforms.ResizeImages("Image", 8, 8))
            .Append(mlContext.Transforms.ExtractPixels(
                "Features", "Image", ImagePixelExtractingEstimator.ColorBits.Red, scaleImage: 1 / 255f))
            .Append(mlContext.Transforms.Conversion.MapValueToKey("Label"))
            .AppendCacheCheckpoint(mlContext)
            .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options(), 1)))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(data), data,
            [.. rows.Select(row => row.ImagePath)]);
    }

    /// <summary>A classifier of images in memory, a column that ML.NET does not save in the schema.</summary>
    public static (ITransformer Model, IDataView Data) FitDrawn(MLContext mlContext)
    {
        IDataView data = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 40).Select(i => new DrawnRow
        {
            Picture = Decode(Picture(8, 8, SKEncodedImageFormat.Png, i % 2 == 0, (byte)(150 + i))),
            Label = i % 2 == 0 ? "left" : "right",
        }).ToList());
        return (mlContext.Transforms.ExtractPixels("Features", "Picture", ImagePixelExtractingEstimator.ColorBits.Red, scaleImage: 1 / 255f)
            .Append(mlContext.Transforms.Conversion.MapValueToKey("Label"))
            .AppendCacheCheckpoint(mlContext)
            .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(Small(new NeuralOdeClassificationTrainer.Options(), 1)))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(data), data);
    }

    /// <summary>A picture that is bright on one side.</summary>
    public static byte[] Picture(int width, int height, SKEncodedImageFormat format, bool isLeft, byte brightness)
    {
        using var bitmap = new SKBitmap(width, height);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                bitmap.SetPixel(x, y, x < width / 2 == isLeft ? new SKColor(brightness, (byte)(10 * y), 30) : SKColors.Black);
        using SKData data = bitmap.Encode(format, 95);
        return data.ToArray();
    }

    public static MLImage Decode(byte[] picture)
    {
        using var stream = new MemoryStream(picture);
        return MLImage.CreateFromStream(stream);
    }

    public static List<ServedRow> Rows()
    {
        var random = new Random(1);
        string[] names = ["red", "green", "blue"];
        (float X, float Y)[] centres = [(0, 2), (-2, -1), (2, -1)];
        return [.. Enumerable.Range(0, 90).Select(i =>
        {
            float x = centres[i % 3].X + random.NextSingle() - 0.5f, y = centres[i % 3].Y + random.NextSingle() - 0.5f;
            return new ServedRow { Features = [x, y], Label = i % 3 == 0, Colour = names[i % 3], Number = 10 * (i % 3), Target = x + 2 * y,
                Targets = [x, 100 * y] };
        })];
    }

    private static T Small<T>(T options, int seed)
        where T : NeuralOdePredictorOptions
    {
        options.NumberOfEpochs = 4;
        options.BatchSize = 16;
        options.LearningRate = 0.02;
        options.EncoderLayers = [8];
        options.DynamicsLayers = [8];
        options.Seed = seed;
        return options;
    }

    private static T SmallFlow<T>(T options, int seed)
        where T : ContinuousFlowTrainerOptions
    {
        options.NumberOfEpochs = 2;
        options.BatchesPerEpoch = 10;
        options.HiddenLayers = [6];
        options.Seed = seed;
        return options;
    }
}
