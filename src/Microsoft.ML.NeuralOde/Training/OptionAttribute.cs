namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What an option is to a training that goes on from a checkpoint, and to people who read a model file.</summary>
internal enum OptionUse
{
    /// <summary>
    /// It decides what the weights, the optimizer's memory and the place in the data mean: it must be the same when a training goes on.
    /// </summary>
    Decides,

    /// <summary>It may be another when a training goes on.</summary>
    MayChange,

    /// <summary>It says nothing about the result, or, as the seed, is kept by itself.</summary>
    Apart,

    /// <summary>It is no value that could be written: data, a callback, a token.</summary>
    Unwritten,
}

/// <summary>Tells the use of an option; without it an option is one that decides.</summary>
[AttributeUsage(AttributeTargets.Field)]
internal sealed class OptionAttribute(OptionUse use) : Attribute
{
    public OptionUse Use { get; } = use;

    /// <summary>
    /// Whether it is not written at all while it is null: an option that came later, so that a training without it is known by the same
    /// texts as before.
    /// </summary>
    public bool IsLeftOutWhenNull { get; init; }

    /// <summary>The same while it is zero, false or the first of its values.</summary>
    public bool IsLeftOutWhenZero { get; init; }
}
