using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>How an image is changed: it is mirrored, turned about its middle, and shifted.</summary>
/// <param name="Right">Pixels to the right.</param>
/// <param name="Down">Pixels down.</param>
/// <param name="Degrees">Degrees, clockwise.</param>
/// <param name="IsMirrored">Whether left and right are exchanged.</param>
internal readonly record struct ImageChange(double Right, double Down, double Degrees, bool IsMirrored);

/// <summary>Changes images by chance, see <see cref="ImageAugmentation"/>.</summary>
internal sealed class ImageAugmenter(ImageAugmentation augmentation, ImageShape shape)
{
    /// <summary>The changes of some images; the same seed draws the same.</summary>
    public ImageChange[] Draw(int count, int seed)
    {
        var random = new Random(seed);
        var changes = new ImageChange[count];
        // All four numbers are drawn for each image, so that an option changes no draw but its own.
        for (int i = 0; i < count; i++)
            changes[i] = new ImageChange(
                augmentation.Shift * Symmetric(), augmentation.Shift * Symmetric(), augmentation.Rotation * Symmetric(),
                random.NextDouble() < 0.5 && augmentation.HorizontalFlip);
        return changes;

        double Symmetric() => 2 * random.NextDouble() - 1;
    }

    /// <summary>Images <c>[rows, features]</c>, each changed by chance.</summary>
    /// <param name="features">Images of a batch.</param>
    /// <param name="seed">The batch's seed.</param>
    /// <param name="first">Where in the batch they begin.</param>
    /// <param name="total">The images of the batch.</param>
    public Tensor Apply(Tensor features, int seed, long first, long total) =>
        Apply(features, shape, Draw((int)total, seed)[(int)first..(int)(first + features.size(0))]);

    /// <summary>Images <c>[rows, features]</c>, each changed in a way of its own; in the caller's dispose scope.</summary>
    public static Tensor Apply(Tensor features, ImageShape shape, ImageChange[] changes)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor images = features.reshape(features.size(0), shape.Channels, shape.Height, shape.Width);
        Tensor places = tensor(Matrices(shape, changes), [changes.Length, 2, 3]).to(features.device);
        Tensor grid = functional.affine_grid(places, images.shape, align_corners: false);
        return functional.grid_sample(images, grid, GridSampleMode.Bilinear, GridSamplePaddingMode.Border, align_corners: false)
            .reshape(features.shape).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Where in the image a pixel of the changed one comes from, in coordinates that go from −1 to 1 from border to border: two rows (a,
    /// b, c) of x ↦ a x + b y + c for each image.
    /// </summary>
    private static float[] Matrices(ImageShape shape, ImageChange[] changes)
    {
        var matrices = new float[6 * changes.Length];
        double aspect = (double)shape.Height / shape.Width;
        for (int i = 0; i < changes.Length; i++)
        {
            (double right, double down, double degrees, bool isMirrored) = changes[i];
            (double sine, double cosine) = Math.SinCos(degrees * Math.PI / 180);
            double x = 2 * right / shape.Width, y = 2 * down / shape.Height, sign = isMirrored ? -1 : 1;
            Span<float> matrix = matrices.AsSpan(6 * i, 6);
            // Back: the shift first, then the rotation, then the mirror.
            matrix[0] = (float)(sign * cosine);
            matrix[1] = (float)(sign * sine * aspect);
            matrix[2] = (float)(-sign * (cosine * x + sine * aspect * y));
            matrix[3] = (float)(-sine / aspect);
            matrix[4] = (float)cosine;
            matrix[5] = (float)(sine / aspect * x - cosine * y);
        }
        return matrices;
    }
}
