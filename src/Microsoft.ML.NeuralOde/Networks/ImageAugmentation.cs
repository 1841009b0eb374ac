using System.Globalization;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Small random changes of the images of each training batch, so that a network sees another image each time: it learns what stays the
/// same. Validation and scoring see images as they are.
/// </summary>
/// <remarks>
/// Each image is shifted, turned about its middle and mirrored by numbers of its own, and read between the pixels bilinearly; what comes
/// in from outside repeats the image's border. The draws depend on the training's seed and on the batch alone, so that a training that
/// goes on from a checkpoint sees the same images.
/// </remarks>
public sealed record ImageAugmentation
{
    internal const double LargestRotation = 180;

    /// <summary>The largest shift, in pixels, up, down, left and right; uniform. Default: 0.</summary>
    public double Shift { get; init; }

    /// <summary>The largest rotation, in degrees, either way; uniform. Default: 0.</summary>
    public double Rotation { get; init; }

    /// <summary>
    /// Whether every second image, by chance, is mirrored left to right: right for photographs, wrong for digits. Default: false.
    /// </summary>
    public bool HorizontalFlip { get; init; }

    /// <summary>No changes.</summary>
    public static ImageAugmentation None { get; } = new();

    /// <summary>Whether anything is changed.</summary>
    public bool IsActive => Shift != 0 || Rotation != 0 || HorizontalFlip;

    /// <summary>The changes.</summary>
    /// <returns>For instance “shift 2, rotation 10, horizontal flip”.</returns>
    public override string ToString()
    {
        var parts = new List<string>();
        if (Shift != 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"shift {Shift}"));
        if (Rotation != 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"rotation {Rotation}"));
        if (HorizontalFlip)
            parts.Add("horizontal flip");
        return parts.Count == 0 ? "none" : string.Join(", ", parts);
    }
}
