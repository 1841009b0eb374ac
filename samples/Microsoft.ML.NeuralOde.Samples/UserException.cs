namespace Microsoft.ML.NeuralOde.Samples;

/// <summary>Something that the user of the program can put right; the message says what.</summary>
internal sealed class UserException : Exception
{
    public UserException()
    {
    }

    public UserException(string message)
        : base(message)
    {
    }

    public UserException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
