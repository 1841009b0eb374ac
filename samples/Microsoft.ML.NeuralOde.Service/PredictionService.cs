using System.Diagnostics;
using System.Reflection;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Settings;
using Prometheus;
using Scalar.AspNetCore;

namespace Microsoft.ML.NeuralOde.Service;

/// <summary>
/// Serves a model over HTTP. What a request has to be follows from the model: <c>GET /openapi/v1.json</c> describes it, and the page at
/// <c>/</c> tries it. A changed model file is taken while requests go on.
/// </summary>
internal static class PredictionService
{
    private const string Page = "index.html";

    /// <summary>Nothing is asked from elsewhere, and nobody frames the page.</summary>
    private const string PagePolicy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src 'self' data: blob:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>A line a model, none a request; whoever wants more says so in the configuration.</summary>
    private static readonly Dictionary<string, string?> Defaults = new()
    {
        ["Logging:LogLevel:Default"] = "Information",
        ["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning",
    };

    /// <exception cref="SettingsException">A setting is unknown or makes no sense.</exception>
    /// <exception cref="ModelFileException">The model file cannot be served.</exception>
    public static WebApplication Create(string[] args)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
        ((IConfigurationBuilder)builder.Configuration).Sources.Insert(0, new MemoryConfigurationSource { InitialData = Defaults });
        ServiceSettings settings = ServiceSettings.Read(builder.Configuration);
        builder.Services.AddSingleton(settings)
            .AddSingleton(settings.Api).AddSingleton<ApiKey>().AddSingleton<ServiceMetrics>().AddSingleton<ModelStore>()
            .AddSingleton<PredictionEndpoints>().AddSingleton<ModelDescriptions>();
        builder.Services.AddHostedService(services => services.GetRequiredService<ModelStore>());
        builder.Services.AddProblemDetails().AddRequestLimiter();
        builder.Services.AddOpenApi(options => options.AddDocumentTransformer<ApiDocument>());
        builder.Services.AddHealthChecks().AddCheck<ModelHealthCheck>("model", tags: [ModelHealthCheck.Tag]);
        builder.WebHost.ConfigureKestrel(server => server.AddServerHeader = false);
        WebApplication app = builder.Build();
        try
        {
            // The first model is loaded before the port is opened.
            _ = app.Services.GetRequiredService<ModelStore>();
            Use(app, app.Services.GetRequiredService<ServiceMetrics>(), app.Services.GetRequiredService<ApiKey>());
            Map(app);
            return app;
        }
        catch
        {
            ((IDisposable)app).Dispose();
            throw;
        }
    }

    private static void Use(WebApplication app, ServiceMetrics metrics, ApiKey key)
    {
        app.Use(async (context, next) =>
        {
            long started = Stopwatch.GetTimestamp();
            context.Response.Headers.XContentTypeOptions = "nosniff";
            await next(context);
            metrics.Answered(
                (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "other", context.Response.StatusCode, started);
        });
        // After the counting, so that what an endpoint throws is counted as what it becomes.
        app.UseExceptionHandler(new ExceptionHandlerOptions
        {
            ExceptionHandler = Problems.WriteExceptionAsync,
            // What a client did wrong is no event of the service.
            SuppressDiagnosticsCallback = context => Problems.StatusOf(context.Exception) < StatusCodes.Status500InternalServerError,
        });
        app.UseStatusCodePages(context => Problems.WriteAsync(context.HttpContext));
        app.UseRouting();
        app.Use((context, next) =>
        {
            if (key.Admits(context))
                return next(context);
            context.Response.Headers.WWWAuthenticate = "ApiKey";
            return Problems.Result(StatusCodes.Status401Unauthorized, $"The header {ApiKey.Header} is missing or wrong.")
                .ExecuteAsync(context);
        });
        app.UseRateLimiter();
    }

    private static void Map(WebApplication app)
    {
        PredictionEndpoints predictions = app.Services.GetRequiredService<PredictionEndpoints>();
        ModelDescriptions descriptions = app.Services.GetRequiredService<ModelDescriptions>();
        app.MapPost(PredictionEndpoints.One, (Delegate)predictions.PredictAsync).WithMetadata(new NeedsKey(), new IsLimited())
            .WithSummary("Predicts one row.").WithTags("Predictions");
        app.MapPost(PredictionEndpoints.Many, (Delegate)predictions.PredictManyAsync).WithMetadata(new NeedsKey(), new IsLimited())
            .WithSummary("Predicts several rows.").WithTags("Predictions");
        app.MapGet("/model", () => Results.Ok(descriptions.Model())).WithSummary("Describes the model that answers now.").WithTags("Model");
        app.MapGet("/health", () => Results.Ok(descriptions.Health()))
            .WithSummary("Says which model answers and why its file's last change was not taken.")
            .WithTags("Model");
        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false });
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { Predicate = check => check.Tags.Contains(ModelHealthCheck.Tag) });
        app.MapMetrics("/metrics", app.Services.GetRequiredService<ServiceMetrics>().Registry).WithMetadata(new NeedsKey());
        app.MapOpenApi();
        app.MapScalarApiReference("/reference", options => options.DisableDefaultFonts().DisableAgent().DisableMcp().DisableTelemetry());
        byte[] page = ReadPage();
        app.MapMethods("/", [HttpMethods.Get, HttpMethods.Head], (HttpContext context) =>
        {
            context.Response.Headers.ContentSecurityPolicy = PagePolicy;
            return Results.Bytes(page, "text/html; charset=utf-8");
        }).ExcludeFromDescription();
    }

    private static byte[] ReadPage()
    {
        using Stream resource = Assembly.GetExecutingAssembly().GetManifestResourceStream(Page)!;
        using var bytes = new MemoryStream();
        resource.CopyTo(bytes);
        return bytes.ToArray();
    }
}
