using Microsoft.AspNetCore.Diagnostics;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>Problem details (RFC 9457), for everything that is no answer.</summary>
internal static class Problems
{
    public const string ContentType = "application/problem+json";

    public static IResult Result(int status, string? detail = null) => Results.Problem(detail, statusCode: status);

    /// <summary>For answers that ASP.NET gives without a body: unknown paths, wrong methods and the like.</summary>
    public static Task WriteAsync(HttpContext context) => Result(context.Response.StatusCode, context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => "There is nothing at this path; GET / shows what there is.",
        StatusCodes.Status405MethodNotAllowed =>
        $"{context.Request.Method} is not what this path takes; {context.Response.Headers.Allow} would be right.",
        _ => null,
    }).ExecuteAsync(context);

    /// <summary>For what an endpoint throws; what went wrong inside is for the log alone.</summary>
    public static Task WriteExceptionAsync(HttpContext context)
    {
        Exception? exception = context.Features.Get<IExceptionHandlerFeature>()?.Error;
        int status = exception is null ? StatusCodes.Status500InternalServerError : StatusOf(exception);
        return Result(status, status < StatusCodes.Status500InternalServerError ? exception!.Message : null).ExecuteAsync(context);
    }

    /// <summary>
    /// The status of an exception: the server's own complaints about a request keep their status, everything else is 500.
    /// </summary>
    public static int StatusOf(Exception exception) => exception switch
    {
        RequestException request => request.Status,
        BadHttpRequestException bad => bad.StatusCode,
        _ => StatusCodes.Status500InternalServerError,
    };
}
