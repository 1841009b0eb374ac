namespace Microsoft.ML.NeuralOde;

/// <summary>
/// torch cannot be used in this process. The message names what is missing (a package, a file, a symbol version of a system
/// library, a supported platform) and what to do about it; <see cref="Exception.InnerException"/> is the loader's own failure.
/// </summary>
public sealed class TorchRuntimeException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is missing and what to do.</param>
    /// <param name="innerException">The failure that was met when torch was loaded.</param>
    public TorchRuntimeException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
