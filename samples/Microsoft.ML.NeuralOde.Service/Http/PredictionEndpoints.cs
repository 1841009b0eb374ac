using System.Buffers;
using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Models;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary><c>POST /predict</c> for one row and <c>POST /predict/batch</c> for several.</summary>
internal sealed class PredictionEndpoints(ModelStore store, ServiceMetrics metrics)
{
    public const string One = "/predict", Many = "/predict/batch";

    /// <summary>Says which model answered: the first digits of its file's SHA-256.</summary>
    private const string ModelHeader = "Model-Version";
    private const int VersionDigits = 12;

    public Task<IResult> PredictAsync(HttpContext context) => AnswerAsync(context, isBatch: false);

    public Task<IResult> PredictManyAsync(HttpContext context) => AnswerAsync(context, isBatch: true);

    private async Task<IResult> AnswerAsync(HttpContext context, bool isBatch)
    {
        // One model reads the request and answers it, whatever becomes of the file meanwhile.
        ServingModel model = store.Use();
        try
        {
            using RequestRows rows = await RequestReader.ReadAsync(context, model.Plan.Fields, model.Limits, isBatch);
            var answer = new ArrayBufferWriter<byte>(1 << 9);
            if (isBatch)
                model.AnswerAll(rows, answer, context.RequestAborted);
            else
                model.Answer(rows, answer);
            metrics.Predicted(rows.Count);
            context.Response.Headers[ModelHeader] = model.Hash[..VersionDigits];
            return new JsonAnswer(answer.WrittenMemory);
        }
        catch (RequestException exception)
        {
            return Problems.Result(exception.Status, exception.Message);
        }
        catch (BadHttpRequestException exception)
        {
            return Problems.Result(exception.StatusCode, exception.Message);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody reads it; the status is for the counters.
            return Results.StatusCode(StatusCodes.Status499ClientClosedRequest);
        }
        finally
        {
            model.Release();
        }
    }

    private sealed class JsonAnswer(ReadOnlyMemory<byte> json) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.ContentType = "application/json; charset=utf-8";
            httpContext.Response.ContentLength = json.Length;
            await httpContext.Response.BodyWriter.WriteAsync(json, httpContext.RequestAborted);
        }
    }
}
