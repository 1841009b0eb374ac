using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>Ready as long as a model answers; degraded while its file holds another that was not taken.</summary>
internal sealed class ModelHealthCheck(ModelStore store) : IHealthCheck
{
    public const string Tag = "ready";

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(store.LastFailure is { } failure ? HealthCheckResult.Degraded(failure) : HealthCheckResult.Healthy());
}
