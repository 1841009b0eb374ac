namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>A request that cannot be answered, and why: becomes problem details (RFC 9457).</summary>
internal sealed class RequestException : Exception
{
    public RequestException()
        : this("The request cannot be read.")
    {
    }

    public RequestException(string message)
        : this(StatusCodes.Status400BadRequest, message)
    {
    }

    public RequestException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    public RequestException(int status, string message)
        : base(message) => Status = status;

    public int Status { get; } = StatusCodes.Status400BadRequest;
}
