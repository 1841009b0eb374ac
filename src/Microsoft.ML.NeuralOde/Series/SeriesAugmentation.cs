using System.Globalization;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Small random changes of the series of each training batch, so that a network sees other series each time and learns what stays the same.
/// Validation and scoring see series as they are.
/// </summary>
/// <remarks>
/// Each series is changed by numbers of its own, which depend on the training's seed and on the batch alone, so that a training that goes
/// on from a checkpoint sees the same series.
/// </remarks>
/// <example><code>new NeuralCdeClassificationTrainer.Options { Augmentation = new SeriesAugmentation { Noise = 0.05 } }</code></example>
public sealed record SeriesAugmentation
{
    /// <summary>
    /// The largest share of a series' observations that are left out, but for the first and the last; each series draws a share of its own
    /// between 0 and it. A path leads across the gaps, and shorter series are faster to learn from. Series of up to 32 observations keep
    /// all, longer ones about as many at least. From 0 to below 1. Default: 0.5.
    /// </summary>
    public double Dropping { get; init; } = 0.5;

    /// <summary>
    /// The standard deviation of normal noise on each value, as a share of its channel's standard deviation. Default: 0.05.
    /// </summary>
    public double Noise { get; init; } = 0.05;

    /// <summary>
    /// The standard deviation of normal factors about 1, one a channel of a series, by which values lie farther from or nearer to the
    /// channel's mean. Default: 0.1.
    /// </summary>
    public double ValueScaling { get; init; } = 0.1;

    /// <summary>The standard deviation of the logarithm of a factor of all times of a series. Default: 0.1.</summary>
    public double TimeScaling { get; init; } = 0.1;

    /// <summary>So many observations are not too many.</summary>
    internal const int FewestObservations = 32;

    /// <summary>No changes.</summary>
    public static SeriesAugmentation None { get; } = new() { Dropping = 0, Noise = 0, ValueScaling = 0, TimeScaling = 0 };

    /// <summary>Whether anything is changed.</summary>
    public bool IsActive => this != None;

    /// <summary>The changes.</summary>
    /// <returns>For instance “dropping 0.5, noise 0.05”.</returns>
    public override string ToString()
    {
        (string Name, double Amount)[] all =
            [("dropping", Dropping), ("noise", Noise), ("value scaling", ValueScaling), ("time scaling", TimeScaling)];
        return IsActive
            ? string.Join(", ",
                all.Where(one => one.Amount != 0).Select(one => string.Create(CultureInfo.InvariantCulture, $"{one.Name} {one.Amount}")))
            : "none";
    }

    /// <summary>The first option that makes no sense; null for none.</summary>
    internal (string Option, double Found, string Expected)? FindDefect()
    {
        if (Dropping is not (>= 0 and < 1))
            return (nameof(Dropping), Dropping, "from 0 to below 1");
        (string Option, double Found)[] amounts =
            [(nameof(Noise), Noise), (nameof(ValueScaling), ValueScaling), (nameof(TimeScaling), TimeScaling)];
        return Array.Find(amounts, amount => amount.Found is not (>= 0 and <= Most)) is { Option: not null } found
            ? (found.Option, found.Found, $"from 0 to {Most}")
            : null;
    }

    /// <summary>More is no small change.</summary>
    private const double Most = 10;
}
