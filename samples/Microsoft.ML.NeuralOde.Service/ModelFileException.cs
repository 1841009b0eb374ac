namespace Microsoft.ML.NeuralOde.Service;

/// <summary>A model file that cannot be served; the message says why.</summary>
internal sealed class ModelFileException : Exception
{
    public ModelFileException()
    {
    }

    public ModelFileException(string message)
        : base(message)
    {
    }

    public ModelFileException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Whether the file itself cannot be read, in contrast to what it holds.</summary>
    public bool IsUnreadable { get; init; }
}
