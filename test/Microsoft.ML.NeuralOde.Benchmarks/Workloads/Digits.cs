namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>Images and labels as tensors: MNIST where it is given, else random images of its shape, of which as many pixels are black.</summary>
internal sealed class Digits
{
    private const double ShareOfInk = 0.19;

    private Digits(Tensor trainImages, Tensor trainLabels, Tensor testImages, bool isReal)
    {
        TrainImages = trainImages;
        TrainLabels = trainLabels;
        TestImages = testImages;
        IsReal = isReal;
    }

    /// <summary>Shape <c>[images, 784]</c>, 0 to 1.</summary>
    public Tensor TrainImages { get; }

    public Tensor TrainLabels { get; }

    public Tensor TestImages { get; }

    /// <summary>Whether it is MNIST.</summary>
    public bool IsReal { get; }

    public static Digits Load(string folder)
    {
        MnistDataset data = MnistDataset.Load(folder);
        return new Digits(Images(data.Train), Labels(data.Train), Images(data.Test), isReal: true);
    }

    public static Digits Random()
    {
        random.manual_seed(0);
        return new Digits(Images(60000), randint(10, [60000], ScalarType.Int64), Images(10000), isReal: false);

        static Tensor Images(int count)
        {
            using DisposeScope scope = NewDisposeScope();
            return (rand(count, 784) * (rand(count, 784) < ShareOfInk)).MoveToOuterDisposeScope();
        }
    }

    private static Tensor Images(MnistImages images)
    {
        var pixels = new byte[images.Count * 784];
        for (int i = 0; i < images.Count; i++)
            images.GetPixels(i).CopyTo(pixels.AsSpan(i * 784));
        using DisposeScope scope = NewDisposeScope();
        return (tensor(pixels, [images.Count, 784]).to(ScalarType.Float32) / 255).MoveToOuterDisposeScope();
    }

    private static Tensor Labels(MnistImages images) => tensor(Array.ConvertAll(images.Labels.ToArray(), label => (long)label));
}
