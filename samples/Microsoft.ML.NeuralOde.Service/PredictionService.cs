using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Service;

/// <summary>
/// Serves a model over HTTP: <c>POST /predict</c>, <c>POST /predict/batch</c>, <c>GET /health</c>, <c>GET /metrics</c>. A changed model file is taken
/// while requests go on.
/// </summary>
internal static class PredictionService
{
    /// <exception cref="ModelFileException">The model file cannot be served.</exception>
    public static WebApplication Create(string[] args)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
        ModelSettings settings = builder.Configuration.GetSection("Model").Get<ModelSettings>() ?? new ModelSettings();
        builder.Services.AddSingleton(settings).AddSingleton<ServiceMetrics>().AddSingleton<ModelStore>();
        builder.Services.AddProblemDetails();
        builder.Services.AddHostedService(services => services.GetRequiredService<ModelStore>());
        WebApplication app = builder.Build();
        // The first model is loaded before the port is opened.
        ModelStore store = app.Services.GetRequiredService<ModelStore>();
        ServiceMetrics metrics = app.Services.GetRequiredService<ServiceMetrics>();

        app.Use(async (context, next) =>
        {
            long started = Stopwatch.GetTimestamp();
            await next(context);
            metrics.Answered(context.GetEndpoint() is null ? "other" : context.Request.Path.Value ?? "/", context.Response.StatusCode, started);
        });
        // After the counting, so that what an endpoint throws is counted as what it becomes.
        app.UseExceptionHandler();
        app.UseRouting();
        app.MapPost("/predict", (PredictRequest request) => Answer(store, metrics, request));
        app.MapPost("/predict/batch", (PredictBatchRequest request) => Answer(store, metrics, request, settings.MaximumRows));
        app.MapGet("/health", () => Health(store, settings));
        app.MapGet("/metrics", () =>
        {
            ServingModel model = store.Use();
            model.Release();
            return Results.Text(metrics.Write(model.Generation), "text/plain; version=0.0.4");
        });
        return app;
    }

    private static IResult Answer(ModelStore store, ServiceMetrics metrics, PredictRequest request)
    {
        ServingModel model = store.Use();
        try
        {
            if (Problem(request.Features, model.FeatureCount) is { } problem)
                return Results.Problem($"'features' {problem}", statusCode: StatusCodes.Status400BadRequest);
            Prediction prediction = model.Predict(request.Features!);
            metrics.Predicted(1);
            return HasScores(prediction) ? Results.Ok(Response(prediction)) : Results.Problem("'features' cannot be scored.", statusCode: StatusCodes.Status422UnprocessableEntity);
        }
        finally
        {
            model.Release();
        }
    }

    private static IResult Answer(ModelStore store, ServiceMetrics metrics, PredictBatchRequest request, int maximum)
    {
        ServingModel model = store.Use();
        try
        {
            float[]?[] rows = request.Rows ?? [];
            if (rows.Length == 0 || rows.Length > maximum)
                return Results.Problem($"'rows' has {rows.Length} rows; it must have 1 to {maximum}.", statusCode: StatusCodes.Status400BadRequest);
            for (int row = 0; row < rows.Length; row++)
                if (Problem(rows[row], model.FeatureCount) is { } problem)
                    return Results.Problem($"Row {row} of 'rows' {problem}", statusCode: StatusCodes.Status400BadRequest);
            Prediction[] predictions = [.. model.Predict(rows!)];
            metrics.Predicted(predictions.Length);
            int failed = Array.FindIndex(predictions, prediction => !HasScores(prediction));
            return failed < 0 ? Results.Ok(Array.ConvertAll(predictions, Response))
                : Results.Problem($"Row {failed} of 'rows' cannot be scored.", statusCode: StatusCodes.Status422UnprocessableEntity);
        }
        finally
        {
            model.Release();
        }
    }

    /// <summary>Numbers near the limits of Single have no solution; their scores are NaN, which JSON does not know.</summary>
    private static bool HasScores(Prediction prediction) => Array.TrueForAll(prediction.Score, float.IsFinite);

    private static PredictResponse Response(Prediction prediction) => new(prediction.PredictedLabel, prediction.Score);

    private static string? Problem(float[]? features, int expected) =>
        features is null ? $"is missing; it must be a list of {expected} numbers."
        : features.Length != expected ? $"has {features.Length} numbers; the model needs {expected}."
        : Array.Exists(features, value => !float.IsFinite(value)) ? "has a number that is not finite or too large for Single."
        : null;

    private static IResult Health(ModelStore store, ModelSettings settings)
    {
        ServingModel model = store.Use();
        model.Release();
        return Results.Ok(new
        {
            status = "ok",
            file = Path.GetFileName(settings.File),
            generation = model.Generation,
            loadedAt = model.LoadedAt,
            features = model.FeatureCount,
            lastFailure = store.LastFailure,
        });
    }
}
