using Microsoft.ML.NeuralOde.Networks;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>Random changes of images, against images changed by hand.</summary>
public sealed class ImageAugmentationTests
{
    private static readonly float[] Square =
    [
        1, 2, 3,
        4, 5, 6,
        7, 8, 9,
    ];

    [Fact]
    public void Images_are_shifted_turned_and_mirrored_as_by_hand()
    {
        Changed(new ImageChange(1, 0, 0, false)).Should().Equal(1, 1, 2, 4, 4, 5, 7, 7, 8);
        Changed(new ImageChange(0, -1, 0, false)).Should().Equal(4, 5, 6, 7, 8, 9, 7, 8, 9);
        Changed(new ImageChange(0.5, 0, 0, false)).Should().Equal(1, 1.5f, 2.5f, 4, 4.5f, 5.5f, 7, 7.5f, 8.5f);
        Changed(new ImageChange(0, 0, 90, false)).Should().Equal(7, 4, 1, 8, 5, 2, 9, 6, 3);
        Changed(new ImageChange(0, 0, 0, true)).Should().Equal(3, 2, 1, 6, 5, 4, 9, 8, 7);
        Changed(new ImageChange(1, 0, 90, true)).Should().Equal(9, 9, 6, 8, 8, 5, 7, 7, 4);
    }

    [Fact]
    public void Wide_images_and_channels_are_turned_about_the_middle_without_being_stretched()
    {
        // Two channels of 3 by 5; half a turn brings the last pixel first.
        float[] pixels = [.. Enumerable.Range(0, 30).Select(i => (float)i)];
        Changed(pixels, new ImageShape(2, 3, 5), new ImageChange(0, 0, 180, false))
            .Should().Equal([.. pixels.Take(15).Reverse(), .. pixels.Skip(15).Reverse()]);
        // A quarter turn leaves the row through the middle standing in the column through the middle.
        float[] turned = Changed([.. pixels.Take(15)], new ImageShape(1, 3, 5), new ImageChange(0, 0, 90, false));
        new[] { turned[2], turned[7], turned[12] }.Should().Equal(6, 7, 8);
    }

    [Fact]
    public void Draws_repeat_with_the_seed_and_keep_within_their_bounds()
    {
        var augmenter =
            new ImageAugmenter(new ImageAugmentation { Shift = 2, Rotation = 15, HorizontalFlip = true }, new ImageShape(1, 8, 8));
        ImageChange[] changes = augmenter.Draw(2000, seed: 4);
        augmenter.Draw(2000, seed: 4).Should().Equal(changes);
        augmenter.Draw(2000, seed: 5).Should().NotEqual(changes);
        augmenter.Draw(10, seed: 4).Should().Equal(changes.Take(10));
        foreach ((Func<ImageChange, double> number, double bound) in new (Func<ImageChange, double>, double)[]
        {
            (c => c.Right, 2), (c => c.Down, 2), (c => c.Degrees, 15),
        })
        {
            changes.Max(c => Math.Abs(number(c))).Should().BeInRange(0.99 * bound, bound);
            // Uniform: mean 0 and variance b²/3, within five deviations of the estimates.
            changes.Average(number).Should().BeInRange(-0.065 * bound, 0.065 * bound);
            changes.Average(c => Math.Pow(number(c), 2)).Should().BeInRange(0.30 * bound * bound, 0.37 * bound * bound);
        }
        changes.Count(c => c.IsMirrored).Should().BeInRange(888, 1112);
        var none = new ImageAugmenter(new ImageAugmentation { Shift = 2 }, new ImageShape(1, 8, 8));
        none.Draw(2000, seed: 4).Should().OnlyContain(c => !c.IsMirrored && c.Degrees == 0);
    }

    [Fact]
    public void Options_say_what_they_are()
    {
        ImageAugmentation.None.IsActive.Should().BeFalse();
        ImageAugmentation.None.ToString().Should().Be("none");
        new ImageAugmentation { Shift = 1.5, Rotation = 10, HorizontalFlip = true }.ToString()
            .Should().Be("shift 1.5, rotation 10, horizontal flip");
        new ConvolutionalNetwork { Block = ConvolutionalBlock.Residual, Image = new ImageShape(3, 32, 32) }.ToString()
            .Should().Be("convolutional (images 3 x 32 x 32; 64 channels; block Residual, 6 layers; augmentation none)");
        new NeuralOdeClassificationTrainer.Options { Network = new ConvolutionalNetwork() }.ToString()
            .Should().Be("NeuralOdeClassificationTrainer.Options { Network = convolutional (64 channels; block Ode; augmentation none) }");
    }

    private static float[] Changed(ImageChange change) => Changed(Square, new ImageShape(1, 3, 3), change);

    private static float[] Changed(float[] pixels, ImageShape shape, ImageChange change)
    {
        using DisposeScope scope = torch.NewDisposeScope();
        torch.Tensor result = ImageAugmenter.Apply(torch.tensor(pixels, [1, pixels.Length]), shape, [change]);
        return [.. result.contiguous().data<float>().ToArray().Select(value => MathF.Round(value, 4))];
    }
}
