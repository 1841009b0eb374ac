using System.Globalization;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.ML.NeuralOde.Service.Models;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>Endpoints with this mark take part in the limits of requests.</summary>
internal sealed class IsLimited;

/// <summary>
/// How many predictions are made at a time, and how many one client may ask for: ASP.NET's rate limiter, with the model's limits.
/// </summary>
internal static class RequestLimiter
{
    private const int BurstSeconds = 10;
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    public static IServiceCollection AddRequestLimiter(this IServiceCollection services)
    {
        services.AddRateLimiter(_ => { });
        services.AddOptions<RateLimiterOptions>().Configure<ModelStore, ServiceSettings>((options, store, settings) =>
        {
            PartitionedRateLimiter<HttpContext> atATime = PartitionedRateLimiter.Create<HttpContext, int>(context =>
                IsLimited(context) ? RateLimitPartition.GetConcurrencyLimiter(Concurrency(store), most => new ConcurrencyLimiterOptions
                {
                    PermitLimit = most,
                    QueueLimit = settings.Limits.QueueLength,
                    QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
                }) : RateLimitPartition.GetNoLimiter(0));
            options.GlobalLimiter = settings.Limits.RequestsPerSecond is { } perSecond
                ? PartitionedRateLimiter.CreateChained(PerClient(perSecond), atATime) : atATime;
            options.OnRejected = RejectAsync;
        });
        return services;
    }

    private static bool IsLimited(HttpContext context) => context.GetEndpoint()?.Metadata.GetMetadata<IsLimited>() is not null;

    private static int Concurrency(ModelStore store)
    {
        ServingModel model = store.Use();
        try
        {
            return model.Limits.Concurrency;
        }
        finally
        {
            model.Release();
        }
    }

    private static PartitionedRateLimiter<HttpContext> PerClient(int perSecond) =>
        PartitionedRateLimiter.Create<HttpContext, string>(context =>
        IsLimited(context)
        ? RateLimitPartition.GetTokenBucketLimiter(
            context.Connection.RemoteIpAddress?.ToString() ?? "", _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = (int)Math.Min((long)perSecond * BurstSeconds, int.MaxValue),
                TokensPerPeriod = perSecond,
                ReplenishmentPeriod = Second,
                AutoReplenishment = true,
            }) : RateLimitPartition.GetNoLimiter(""));

    private static async ValueTask RejectAsync(OnRejectedContext context, CancellationToken cancellationToken)
    {
        // Only a bucket of tokens knows when there is one again.
        bool isClientTooFast = context.Lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan wait);
        context.HttpContext.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds))
            .ToString(CultureInfo.InvariantCulture);
        await (isClientTooFast
            ? Problems.Result(StatusCodes.Status429TooManyRequests, "This client asks more often than it may (Limits:RequestsPerSecond).")
            : Problems.Result(StatusCodes.Status503ServiceUnavailable,
                "The service is at work on as many requests as it can; try again.")).ExecuteAsync(context.HttpContext);
    }
}
