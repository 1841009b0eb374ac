using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.ML.NeuralOde.Service;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>A service on a free port of this machine, and a client of it.</summary>
internal sealed class ServiceHost : IAsyncDisposable
{
    private readonly WebApplication _app;

    private ServiceHost(WebApplication app)
    {
        _app = app;
        Client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
    }

    public HttpClient Client { get; }

    public ModelStore Store => _app.Services.GetRequiredService<ModelStore>();

    /// <summary>Starts a service that looks at its file when the test wants it to.</summary>
    public static async Task<ServiceHost> StartAsync(string modelFile, params string[] settings)
    {
        WebApplication app = PredictionService.Create(
            ["--urls", "http://127.0.0.1:0", "--Model:File", modelFile, "--Model:ReloadInterval", "01:00:00", "--Logging:LogLevel:Default",
                "None", .. settings]);
        await app.StartAsync();
        return new ServiceHost(app);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    public Task<HttpResponseMessage> PostAsync(string path, object body) => PostTextAsync(path, JsonSerializer.Serialize(body));

    public Task<HttpResponseMessage> PostTextAsync(string path, string body, string contentType = "application/json") =>
        PostBytesAsync(path, Encoding.UTF8.GetBytes(body), contentType);

    public Task<HttpResponseMessage> PostBytesAsync(string path, byte[] body, string? contentType)
    {
        var content = new ByteArrayContent(body);
        if (contentType is not null)
            content.Headers.TryAddWithoutValidation("Content-Type", contentType);
        return Client.PostAsync(path, content);
    }

    /// <summary>The answer to a request that must succeed.</summary>
    public static async Task<JsonElement> AnswerAsync(Task<HttpResponseMessage> request)
    {
        using HttpResponseMessage response = await request;
        string text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).Should().Be(200, text);
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>The detail of a request that must fail with problem details.</summary>
    public static async Task<string> ProblemAsync(Task<HttpResponseMessage> request, int status)
    {
        using HttpResponseMessage response = await request;
        string text = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).Should().Be(status, text);
        response.Content.Headers.ContentType.Should().Be(MediaTypeHeaderValue.Parse("application/problem+json"), text);
        JsonElement problem = JsonDocument.Parse(text).RootElement;
        problem.GetProperty("status").GetInt32().Should().Be(status);
        problem.GetProperty("title").GetString().Should().NotBeNullOrEmpty();
        return problem.TryGetProperty("detail", out JsonElement detail) ? detail.GetString()! : "";
    }
}
