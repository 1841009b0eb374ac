namespace Microsoft.ML.NeuralOde;

/// <summary>
/// MPI cannot be used: there is no library of the right kind, or the program was not started as its library wants it. The message says what
/// to install or how to start.
/// </summary>
public sealed class MpiException : Exception
{
    internal MpiException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
