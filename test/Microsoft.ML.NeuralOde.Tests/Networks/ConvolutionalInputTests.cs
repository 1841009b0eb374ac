using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Tests.Support;
using Options = Microsoft.ML.NeuralOde.NeuralOdeClassificationTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Networks;

/// <summary>Which columns and descriptions networks for images take, and what they say of others.</summary>
public class ConvolutionalInputTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Descriptions_that_make_no_sense_are_found_out()
    {
        var good = new ConvolutionalDescription(784, 10, new ImageShape(1, 28, 28), 8, "Residual", 6, 1, "euler", 1e-3, 1e-4, 1);
        good.FindDefect().Should().BeNull();
        foreach (ConvolutionalDescription bad in new[]
        {
            good with { Image = new ImageShape(1, 28, 27) }, good with { Image = new ImageShape(49, 4, 4) }, good with { Channels = 1 },
            good with { Channels = int.MaxValue }, good with { Block = "1" }, good with { Block = "Other" }, good with { Layers = 0 },
            good with { Layers = int.MaxValue }, good with { Block = "Ode" }, good with { Image = new ImageShape(-1, -28, 28) },
            good with { AugmentedDimensions = -1 }, good with { AugmentedDimensions = int.MaxValue },
            good with { LearnsAugmentation = true }, good with { Block = "None", Layers = 0, AugmentedDimensions = 1 },
            good with { Groups = 3 }, good with { Groups = 0 },
        })
            bad.FindDefect().Should().NotBeNull(bad.ToString());
        (good with { OutputCount = int.MaxValue, Channels = int.MaxValue }).WeightCount().Should().Be(long.MaxValue);
        ConvolutionalDescription wide = good with { AugmentedDimensions = 2 };
        good.DifferenceOfStructure(wide).Should().Be("0 and 2 augmented dimensions");
        wide.DifferenceOfStructure(wide with { LearnsAugmentation = true }).Should().Contain("learned");
        wide.DifferenceOfStructure(wide).Should().BeNull();
        good.DifferenceOfStructure(good with { Groups = 2 }).Should().Be("4 and 2 groups of channels");
    }

    [Theory]
    [InlineData(new[] { 504 }, null, "*'Features'*an image's*channels, height, width*Network.Image*504*")]
    [InlineData(new[] { 12, 14, 3 }, null, "*6 x 6 pixels*interleavePixelColors: false*12, 14, 3*")]
    [InlineData(new[] { 126, 4 }, null, "*6 x 6 pixels*126, 4*")]
    [InlineData(new[] { 504, 1, 1 }, null, "*6 x 6 pixels*504, 1, 1*")]
    [InlineData(new[] { 1, 5, 5 }, null, "*6 x 6 pixels*1, 5, 5*")]
    [InlineData(new[] { 3, 12, 14 }, new[] { 3, 12, 12 }, "*3 x 12 x 12, 432 numbers*Network.Image*3, 12, 14*")]
    [InlineData(new[] { 12, 14, 3 }, new[] { 3, 12, 14 }, "*Single, 3, 12, 14*interleavePixelColors: false*12, 14, 3*")]
    public void A_column_that_does_not_hold_such_images_is_refused_with_what_would_be_right(int[] dimensions, int[]? image, string message)
    {
        var options = new Options
        {
            Network = new ConvolutionalNetwork
            {
                Channels = 4,
                Image = image is null
                ? null : new ImageShape(image[0], image[1], image[2])
            },
            NumberOfEpochs = 1,
        };
        FluentActions.Invoking(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(
                ImageData.Keyed(_mlContext, ImageData.Rows(6, ImageData.Colour), dimensions)))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage(message);
    }

    [Fact]
    public void A_vector_without_dimensions_is_fine_where_the_shape_is_given_and_a_model_refuses_channels_that_come_last()
    {
        var options =
            new Options { Network = new ConvolutionalNetwork { Channels = 4, Image = ImageData.Colour }, NumberOfEpochs = 1, Seed = 1 };
        List<ImageRow> rows = ImageData.Rows(12, ImageData.Colour);
        using NeuralOdeClassificationTransformer model = _mlContext.MulticlassClassification.Trainers.NeuralOde(options)
            .Fit(ImageData.Keyed(_mlContext, rows, 504));
        float[][] flat = [.. model.Transform(ImageData.Keyed(_mlContext, rows, 504)).GetColumn<float[]>("Score")];
        float[][] shaped = [.. model.Transform(ImageData.Keyed(_mlContext, rows, 3, 12, 14)).GetColumn<float[]>("Score")];
        shaped.SelectMany(s => s).Should().Equal(flat.SelectMany(s => s));
        FluentActions.Invoking(() => model.Transform(ImageData.Keyed(_mlContext, rows, 12, 14, 3)))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*'Features'*3, 12, 14*channels first*");

        IDataView interleaved = ImageData.Keyed(_mlContext, rows, 12, 14, 3), planar = ImageData.Keyed(_mlContext, rows, 3, 12, 14);
        var trainer = _mlContext.MulticlassClassification.Trainers.NeuralOde(options);
        FluentActions.Invoking(() => trainer.Fit(planar, interleaved))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*3, 12, 14*");
        options.Network = new ConvolutionalNetwork { Channels = 5, Image = ImageData.Colour };
        FluentActions.Invoking(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(planar, model.Model))
            .Should().Throw<ArgumentException>().WithMessage("*5 and 4 channels*");
        options.Network = new ConvolutionalNetwork { Channels = 4, Image = ImageData.Colour };
        options.AugmentedDimensions = 2;
        FluentActions.Invoking(() => _mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(planar, model.Model))
            .Should().Throw<ArgumentException>().WithMessage("*2 and 0 augmented dimensions*");
    }
}
