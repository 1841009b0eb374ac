namespace Microsoft.ML.NeuralOde;

/// <summary>A file of MNIST could not be fetched from any mirror.</summary>
public sealed class MnistDownloadException : IOException
{
    /// <summary>Creates the exception without an explanation.</summary>
    public MnistDownloadException()
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What each mirror answered and what can be done.</param>
    public MnistDownloadException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What each mirror answered and what can be done.</param>
    /// <param name="innerException">What went wrong with the last mirror.</param>
    public MnistDownloadException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
