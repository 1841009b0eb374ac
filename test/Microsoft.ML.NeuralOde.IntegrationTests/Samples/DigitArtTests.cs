using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class DigitArtTests
{
    [Fact]
    public void Two_rows_of_pixels_make_a_line_of_blocks()
    {
        byte[] pixels = new byte[784];
        // The drawing starts at row 3, column 3.
        pixels[3 * 28 + 3] = 255; // Upper half.
        pixels[4 * 28 + 4] = 255; // Lower half.
        pixels[3 * 28 + 5] = pixels[4 * 28 + 5] = 255; // Both.
        pixels[3 * 28 + 6] = 10; // Too dark to be drawn.

        string[] lines = DigitArt.Draw(pixels);

        lines.Should().HaveCount(11).And.OnlyContain(line => line.Length == 22);
        lines[0].TrimEnd().Should().Be("▀▄█");
        lines[1].Trim().Should().BeEmpty();
    }

    [Fact]
    public void Drawings_stand_side_by_side_under_their_captions()
    {
        string[] white = DigitArt.Draw([.. Enumerable.Repeat((byte)255, 784)]);

        string[] lines = DigitArt.SideBySide([("first", white), ("second", white)]).Split(Environment.NewLine);

        lines[0].Should().Be("first".PadRight(25) + "second");
        lines[1].Should().Be(new string('█', 22) + "   " + new string('█', 22));
    }
}
