using OxyPlot;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>The colours and sizes of all figures, light and dark.</summary>
internal sealed class Style
{
    public const double FontSize = 12;

    public const double SmallFontSize = 11;

    public const double TitleFontSize = 15;

    // The palette of Okabe and Ito (2008), which people with any kind of colour vision can tell apart, in an order in which neighbours
    // differ in lightness too. Its yellow cannot be read on white, its black not on black: grey and brown stand in.
    private static readonly OxyColor[] OnWhite =
        Colours("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#6E6E6E", "#7A4A00");
    private static readonly OxyColor[] OnBlack =
        Colours("#56B4E9", "#F0763B", "#1FC698", "#F0B429", "#DE93BC", "#2E8FD0", "#A8A8A8", "#F0E442");

    private Style(OxyColor[] series, string background, string text, string muted, string grid)
    {
        Series = series;
        Background = OxyColor.Parse(background);
        Text = OxyColor.Parse(text);
        Muted = OxyColor.Parse(muted);
        Grid = OxyColor.Parse(grid);
    }

    public static Style Light { get; } = new(OnWhite, "#FFFFFF", "#1F2328", "#6B7280", "#E3E6EA");

    public static Style Dark { get; } = new(OnBlack, "#0D1117", "#E6EDF3", "#9199A5", "#2A313A");

    public OxyColor[] Series { get; }

    public OxyColor Background { get; }

    public OxyColor Text { get; }

    /// <summary>For what stands back: borders, ticks, the exact solution.</summary>
    public OxyColor Muted { get; }

    public OxyColor Grid { get; }

    /// <summary>The colour of a series; after the last the first comes again.</summary>
    public OxyColor Colour(int index) => index < 0 ? Muted : Series[index % Series.Length];

    /// <summary>Markers change where colours come again, so that eight times four series differ.</summary>
    public static MarkerType Marker(int index) => (index / 8 % 4) switch
    {
        0 => MarkerType.Circle,
        1 => MarkerType.Square,
        2 => MarkerType.Triangle,
        _ => MarkerType.Diamond,
    };

    /// <summary>From nothing to much: viridis, which grows lighter evenly.</summary>
    public static OxyPalette Scale { get; } = OxyPalettes.Viridis(256);

    private static OxyColor[] Colours(params string[] codes) => Array.ConvertAll(codes, OxyColor.Parse);
}
