using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Turns the error of a step, scaled by the tolerances component by component, into one number: 1 is just acceptable.
/// </summary>
public sealed class ErrorNorm
{
    private ErrorNorm(string name, ErrorMeasure measure)
    {
        Name = name;
        Measure = measure;
    }

    /// <summary>Root of the mean of squares (Hairer, Nørsett and Wanner, II.4.11): the usual choice.</summary>
    public static ErrorNorm Rms { get; } = new("rms", new RootMeanSquare());

    /// <summary>The largest absolute value: every component keeps its tolerance.</summary>
    public static ErrorNorm Maximum { get; } = new("max", new LargestError());

    /// <summary>The norm's name.</summary>
    public string Name { get; }

    /// <summary>Computes it.</summary>
    internal ErrorMeasure Measure { get; }

    /// <summary><see cref="Rms"/> over the components of several processes; see <see cref="SharedRootMeanSquare"/>.</summary>
    internal static ErrorNorm Shared(Func<double, double, double> share) => new("rms", new SharedRootMeanSquare(share));

    /// <summary>A norm of one's own.</summary>
    /// <param name="name">A name for messages.</param>
    /// <param name="function">
    /// Gets the scaled errors, shape <c>[lanes, components]</c> (one lane for the whole batch, or one a row under per-row step sizes), and
    /// returns one non-negative number a lane, shape <c>[lanes]</c>. Runs without gradient recording.
    /// </param>
    /// <returns>The norm.</returns>
    public static ErrorNorm Custom(string name, Func<Tensor, Tensor> function)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(function);
        return new ErrorNorm(name, new OwnMeasure(name, function));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
