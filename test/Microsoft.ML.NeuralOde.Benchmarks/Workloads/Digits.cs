namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>
/// Images and labels as tensors: MNIST where it is given, else random images of its shape, of which as many pixels are black.
/// </summary>
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

    /// <param name="count">Images to train on; a sixth as many to test.</param>
    public static Digits Random(int count)
    {
        random.manual_seed(0);
        return new Digits(Images(count), randint(10, [count], ScalarType.Int64), Images(count / 6), isReal: false);

        static Tensor Images(int images)
        {
            using DisposeScope scope = NewDisposeScope();
            return (rand(images, 784) * (rand(images, 784) < ShareOfInk)).MoveToOuterDisposeScope();
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
