using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>The key, the limits, what is counted and described, and settings that make no sense.</summary>
public sealed partial class ProtectionTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly string _file;

    public ProtectionTests()
    {
        _file = Path.Combine(_folder, "model.zip");
        var mlContext = new MLContext(1);
        (ITransformer model, IDataView data) = ServedModels.Fit(mlContext, "binary");
        mlContext.Model.SaveSealed(model, data.Schema, _file);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task With_a_key_only_those_who_have_it_are_answered()
    {
        await using ServiceHost service = await ServiceHost.StartAsync(_file, "--Api:Key", "a key of this test".Replace(' ', '-'));
        var row = new { features = new[] { 1, 2 } };
        (await ServiceHost.ProblemAsync(service.PostAsync("/predict", row), 401)).Should().Contain("X-Api-Key");
        (await ServiceHost.ProblemAsync(service.Client.GetAsync("/metrics"), 401)).Should().Contain("X-Api-Key");
        service.Client.DefaultRequestHeaders.Add("X-Api-Key", "a-key-of-this-tesT");
        await ServiceHost.ProblemAsync(service.PostAsync("/predict/batch", new { rows = new[] { row } }), 401);
        service.Client.DefaultRequestHeaders.Remove("X-Api-Key");
        (await service.Client.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await service.Client.GetAsync("/")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await service.Client.GetStringAsync("/openapi/v1.json")).Should().Contain("X-Api-Key").And.Contain("\"401\"");
        service.Client.DefaultRequestHeaders.Add("X-Api-Key", "a-key-of-this-test");
        await ServiceHost.AnswerAsync(service.PostAsync("/predict", row));
    }

    [Fact]
    public async Task A_client_that_asks_too_often_is_told_so()
    {
        await using ServiceHost service = await ServiceHost.StartAsync(_file, "--Limits:RequestsPerSecond", "1");
        var row = new { features = new[] { 1, 2 } };
        HttpResponseMessage? refused = null;
        // Ten at once and one a second after them.
        for (int i = 0; i < 60 && refused is null; i++)
            if (await service.PostAsync("/predict", row) is { StatusCode: not HttpStatusCode.OK } response)
                refused = response;
        refused.Should().NotBeNull();
        (await ServiceHost.ProblemAsync(Task.FromResult(refused!), 429)).Should().NotBeEmpty();
        refused!.Headers.RetryAfter.Should().NotBeNull();
        (await service.Client.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.OK, "only predictions are limited");
    }

    [Fact]
    public async Task More_requests_than_can_wait_are_503()
    {
        await using ServiceHost service =
            await ServiceHost.StartAsync(_file, "--Limits:MaximumConcurrency", "1", "--Limits:QueueLength", "0");
        // One that is at work because its body does not end.
        var gate = new TaskCompletionSource();
        using var slow = new HttpRequestMessage(HttpMethod.Post, "/predict") { Content = new SlowContent(gate.Task) };
        Task<HttpResponseMessage> first = service.Client.SendAsync(slow);
        HttpResponseMessage? refused = null;
        for (int i = 0; i < 200 && refused is null; i++)
        {
            await Task.Delay(10);
            if (await service.PostAsync("/predict", new { features = new[] { 1, 2 } }) is { StatusCode: not HttpStatusCode.OK } response)
                refused = response;
        }
        refused.Should().NotBeNull();
        await ServiceHost.ProblemAsync(Task.FromResult(refused!), 503);
        gate.SetResult();
        await ServiceHost.AnswerAsync(first);
    }

    [Fact]
    public async Task A_body_that_does_not_come_is_408_and_makes_room_for_others()
    {
        await using ServiceHost service =
            await ServiceHost.StartAsync(_file, "--Limits:MaximumConcurrency", "1", "--Limits:BodyTime", "00:00:00.3");
        // An HttpClient would wait until it has sent all of its request.
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, service.Client.BaseAddress!.Port);
        await client.GetStream()
            .WriteAsync("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"u8.ToArray());
        using var reader = new StreamReader(client.GetStream());
        string answer = await reader.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
        answer.Should().StartWith("HTTP/1.1 408 ").And.Contain("application/problem+json").And.Contain("Limits:BodyTime");
        await ServiceHost.AnswerAsync(service.PostAsync("/predict", new { features = new[] { 1, 2 } }));
    }

    [Fact]
    public async Task What_is_counted_bears_the_names_of_routes_and_of_nothing_else()
    {
        await using ServiceHost service = await ServiceHost.StartAsync(_file);
        for (int i = 0; i < 5; i++)
            await service.Client.GetAsync($"/made/up/{i}");
        await service.PostAsync("/PREDICT/", new { features = new[] { 1, 2 } });
        await service.PostTextAsync("/predict", "{}");
        string metrics = await service.Client.GetStringAsync("/metrics");
        metrics.Should().Contain("neuralode_requests_total{endpoint=\"other\",status=\"404\"} 5")
            .And.Contain("neuralode_requests_total{endpoint=\"/predict\",status=\"200\"} 1")
            .And.Contain(
                "neuralode_requests_total{endpoint=\"/predict\",status=\"400\"} 1").And.NotContain("made").And.NotContain("PREDICT")
            .And.Contain("neuralode_rows_total 1").And.Contain(
                "neuralode_model_reload_failures_total 0").And.Contain("process_resident_memory_bytes");
    }

    [Fact]
    public async Task The_page_and_the_description_need_nothing_from_elsewhere()
    {
        await using ServiceHost service = await ServiceHost.StartAsync(_file);
        using HttpResponseMessage page = await service.Client.GetAsync("/");
        string html = await page.Content.ReadAsStringAsync();
        html.Should().Contain("prefers-color-scheme: dark").And.NotContain("http://").And.NotContain("https://");
        page.Headers.GetValues("Content-Security-Policy").Single().Should().Contain("default-src 'none'");
        string reference = await service.Client.GetStringAsync("/reference/");
        ElsewherePattern().IsMatch(reference).Should().BeFalse(reference);

        JsonElement document = JsonDocument.Parse(await service.Client.GetStringAsync("/openapi/v1.json")).RootElement;
        JsonElement row = document.GetProperty("components").GetProperty("schemas").GetProperty("Row");
        JsonElement features = row.GetProperty("properties").GetProperty("features");
        (features.GetProperty("type").GetString(), features.GetProperty("minItems").GetInt32(),
            features.GetProperty("maxItems").GetInt32()).Should().Be(("array", 2, 2));
        document.GetProperty("components")
            .GetProperty("schemas").GetProperty("Answer").GetProperty("properties").EnumerateObject().Select(property => property.Name)
            .Should().Equal("label", "probability", "score");
        JsonElement post = document.GetProperty("paths").GetProperty("/predict").GetProperty("post");
        post.GetProperty("responses")
            .EnumerateObject().Select(response => response.Name).Should().Contain(["200", "400", "413", "415", "422", "503"]);
    }

    [Theory]
    [InlineData("Model:ReloadInterval", "00:00:00", "*Model:ReloadInterval is 00:00:00; a positive time*00:00:01*")]
    [InlineData("Model:ReloadInterval", "0", "*Model:ReloadInterval is 00:00:00*")]
    [InlineData("Model:ReloadInterval", "-00:00:01", "*Model:ReloadInterval is -00:00:01*")]
    [InlineData("Model:ReloadInterval", "soon", "*ReloadInterval*")]
    [InlineData("Model:MaximumRows", "0", "*Model:MaximumRows is 0*")]
    [InlineData("Model:MaximumRows", "many", "*MaximumRows*")]
    [InlineData("Model:MaximumModelBytes", "-1", "*Model:MaximumModelBytes is -1*")]
    [InlineData("Model:File", "", "*Model:File is empty*")]
    [InlineData("Model:Fiel", "model.zip", "*Fiel*")]
    [InlineData("Limits:QueueLength", "-1", "*Limits:QueueLength is -1*")]
    [InlineData("Limits:BodyTime", "0", "*Limits:BodyTime is 00:00:00*")]
    [InlineData("Limits:MaximumPixels", "0", "*Limits:MaximumPixels is 0*")]
    [InlineData("Api:Key", "short", "*Api:Key has 5 characters; at least 16*")]
    public void A_setting_that_makes_no_sense_is_told_before_anything_starts(string name, string value, string reason)
    {
        Action act = () =>
            Microsoft.ML.NeuralOde.Service.PredictionService.Create(
                ["--Model:File", _file, $"--{name}", value, "--Logging:LogLevel:Default", "None"]);
        act.Should().Throw<SettingsException>().WithMessage(reason);
    }

    [GeneratedRegex("(src|href)=\"(https?:)?//")]
    private static partial Regex ElsewherePattern();

    private sealed class SlowContent : HttpContent
    {
        private readonly Task _gate;

        public SlowContent(Task gate)
        {
            _gate = gate;
            Headers.ContentType = new("application/json");
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync("{\"features\":"u8.ToArray());
            await stream.FlushAsync();
            await _gate;
            await stream.WriteAsync("[1,2]}"u8.ToArray());
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
