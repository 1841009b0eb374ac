using System.Text;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>Every refusal is problem details that say what was found and what would be right.</summary>
public sealed class BadRequestTests : IAsyncLifetime, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private ServiceHost _service = null!;

    public async Task InitializeAsync()
    {
        var mlContext = new MLContext(1);
        (ITransformer model, IDataView data) = ServedModels.Fit(mlContext, "regression");
        mlContext.Model.SaveSealed(model, data.Schema, Path.Combine(_folder, "model.zip"));
        _service = await ServiceHost.StartAsync(Path.Combine(_folder, "model.zip"), "--Model:MaximumRows", "50");
    }

    public async Task DisposeAsync() => await _service.DisposeAsync();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("", "*empty*")]
    [InlineData(" ", "*no JSON*")]
    [InlineData("[1,2]", "*The body is a list*an object*")]
    [InlineData("null", "*The body is null*")]
    [InlineData("{}", "*'features' is missing*2 numbers*")]
    [InlineData("{\"features\":null}", "*'features' is null*2 numbers*")]
    [InlineData("{\"features\":7}", "*'features' is a number*2 numbers*")]
    [InlineData("{\"features\":[]}", "*'features' has 0 numbers; the model needs 2*")]
    [InlineData("{\"features\":[1]}", "*'features' has 1 numbers; the model needs 2*")]
    [InlineData("{\"features\":[1,2,3]}", "*'features' has 3 numbers; the model needs 2*")]
    [InlineData("{\"features\":[1,null]}", "*'features' has null at place 1*")]
    [InlineData("{\"features\":[1,[2]]}", "*'features' has a list at place 1*")]
    [InlineData("{\"features\":[1,\"NaN\"]}", "*'features', place 1, is a text*")]
    [InlineData("{\"features\":[1,NaN]}", "*no JSON*")]
    [InlineData("{\"features\":[1,-1e39]}", "*place 1*too large*")]
    [InlineData("{\"features\":[1,true]}", "*place 1*is true*")]
    [InlineData("{\"features\":[1,2],\"label\":3}", "*Unknown field 'label'*'features'*")]
    [InlineData("{\"features\":[1,2],\"Features\":[3,4]}", "*'features' is given twice*")]
    [InlineData("{\"features\":[1,2]} x", "*no JSON*")]
    [InlineData("{\"features\":[1,2]", "*no JSON*")]
    [InlineData("{\"features\":[1,2],}", "*no JSON*")]
    [InlineData("{\"\\ud800\":1}", "*no text that Unicode knows*")]
    public async Task A_row_that_the_model_does_not_read_is_refused(string body, string reason) =>
        (await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict", body), 400)).Should().Match(reason);

    [Theory]
    [InlineData("{}", "*'rows' is missing*1 to 50*")]
    [InlineData("{\"rows\":null}", "*'rows' is null*")]
    [InlineData("{\"rows\":[]}", "*'rows' has 0 rows*1 to 50*")]
    [InlineData("{\"rows\":[null]}", "*Row 0 of 'rows' is null*")]
    [InlineData("{\"rows\":[[1,2],null]}", "*Row 1 of 'rows' is null*")]
    [InlineData("{\"rows\":[[1,2],[3]]}", "*Row 1 of 'rows' has 1 numbers; the model needs 2*")]
    [InlineData("{\"rows\":[{}]}", "*Row 0 of 'rows': 'features' is missing*")]
    [InlineData("{\"rows\":[{\"features\":[1]}]}", "*Row 0 of 'rows': 'features' has 1 numbers*")]
    [InlineData("{\"rows\":[[1,2]],\"more\":1}", "*Unknown field 'more'*")]
    [InlineData("{\"rows\":[[1,2]],\"rows\":[[1,2]]}", "*given twice*")]
    public async Task Rows_that_the_model_does_not_read_are_refused(string body, string reason) =>
        (await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict/batch", body), 400)).Should().Match(reason);

    [Theory]
    [InlineData(null, "*missing*application/json*")]
    [InlineData("text/plain", "*'text/plain'*application/json*")]
    [InlineData("nonsense", "*nonsense*application/json*")]
    [InlineData("image/png", "*'image/png'*application/json*")]
    [InlineData("application/json; charset=klingon", "*'klingon'*UTF-8*")]
    [InlineData("application/json; charset=utf-16", "*'utf-16'*UTF-8*")]
    public async Task A_content_type_that_is_not_read_is_415(string? contentType, string reason)
    {
        byte[] body = Encoding.UTF8.GetBytes("{\"features\":[1,2]}");
        (await ServiceHost.ProblemAsync(_service.PostBytesAsync("/predict", body, contentType), 415)).Should().Match(reason);
        (await ServiceHost.ProblemAsync(_service.PostBytesAsync("/predict/batch", body, contentType), 415)).Should().Match(reason);
    }

    [Fact]
    public async Task Compressed_bodies_are_415_and_broken_forms_400()
    {
        using var content = new StringContent("{\"features\":[1,2]}", Encoding.UTF8, "application/json");
        content.Headers.ContentEncoding.Add("gzip");
        (await ServiceHost.ProblemAsync(_service.Client.PostAsync("/predict", content), 415)).Should().Contain("gzip");
        (await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict", "x", "multipart/form-data"), 400)).Should().Contain("boundary");
        (await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict", "x", "multipart/form-data; boundary=b"), 400)).Should()
            .Contain("no form");
        using var form = new MultipartFormDataContent { { new StringContent("[1,"), "features" } };
        (await ServiceHost.ProblemAsync(_service.Client.PostAsync("/predict", form), 400)).Should().Contain("'features' is no JSON");
        using var twice =
            new MultipartFormDataContent { { new StringContent("[1,2]"), "features" }, { new StringContent("[1,2]"), "features" } };
        (await ServiceHost.ProblemAsync(_service.Client.PostAsync("/predict", twice), 400)).Should()
            .Contain("given twice").And.Contain("/predict/batch");
    }

    [Fact]
    public async Task Too_many_rows_and_too_large_bodies_are_413_by_the_model_and_nothing_is_kept_of_them()
    {
        string rows = "{\"rows\":[" + string.Join(',', Enumerable.Repeat("[1,2]", 51)) + "]}";
        (await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict/batch", rows), 413)).Should().Contain("more than 50 rows");

        JsonElement limits = JsonDocument.Parse(await _service.Client.GetStringAsync("/model")).RootElement.GetProperty("limits");
        limits.GetProperty("batchBytes").GetInt64().Should().BeLessThan(16_384, "50 rows of two numbers are small");
        // Empty rows, as many as a default server takes; by its length, and in chunks that tell no length.
        byte[] body = Encoding.UTF8.GetBytes("{\"rows\":[" + string.Concat(Enumerable.Repeat("[],", 1_000_000)) + "[]]}");
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < 8; i++)
            await RefusedAsync(() => new ByteArrayContent(body));
        await RefusedAsync(() => new StreamContent(new MemoryStream(body)) { Headers = { ContentLength = null } });
        (GC.GetTotalAllocatedBytes(precise: true) - before).Should().BeLessThan(32 << 20);

        async Task RefusedAsync(Func<HttpContent> create)
        {
            for (int attempt = 1; ; attempt++)
            {
                using HttpContent content = create();
                content.Headers.ContentType = new("application/json");
                using var request = new HttpRequestMessage(HttpMethod.Post, "/predict/batch") { Content = content };
                request.Headers.TransferEncodingChunked = content is StreamContent;
                // The server may end the connection before it has read all of it.
                request.Headers.ExpectContinue = true;
                try
                {
                    (await ServiceHost.ProblemAsync(_service.Client.SendAsync(request), 413)).Should().NotBeEmpty();
                    return;
                }
                catch (HttpRequestException exception) when (exception.InnerException is IOException && attempt < 5)
                {
                    // And the client may still be writing then, and never come to read the answer.
                }
            }
        }
    }

    [Fact]
    public async Task Unknown_paths_and_methods_are_problems_whatever_the_client_accepts()
    {
        using var browser = new HttpRequestMessage(HttpMethod.Get, "/nothing/here") { Headers = { { "Accept", "text/html" } } };
        (await ServiceHost.ProblemAsync(_service.Client.SendAsync(browser), 404)).Should().NotBeEmpty();
        (await ServiceHost.ProblemAsync(_service.Client.GetAsync("/predict"), 405)).Should().Contain("POST");
        (await ServiceHost.ProblemAsync(_service.Client.DeleteAsync("/model"), 405)).Should().Contain("GET");
    }

    [Fact]
    public async Task One_request_never_changes_the_answer_of_another()
    {
        float[] scores = new float[4];
        float[][] points = [[1, 0], [-1, 2], [0.5f, 0.5f], [0, 0]];
        for (int i = 0; i < points.Length; i++)
            scores[i] = await ScoreAsync(points[i]);
        scores.Should().OnlyHaveUniqueItems();
        string[] bad = ["{\"features\":[9]}", "{\"features\":[]}", "{\"features\":null}", "{\"features\":[9,null]}", "{}"];
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async client =>
        {
            for (int i = 0; i < 40; i++)
            {
                if (i % 2 == 0)
                    await ServiceHost.ProblemAsync(_service.PostTextAsync("/predict", bad[(i + client) % bad.Length]), 400);
                (await ScoreAsync(points[(i + client) % 4])).Should().Be(scores[(i + client) % 4]);
            }
        }));
    }

    private async Task<float> ScoreAsync(float[] features) =>
        (await ServiceHost.AnswerAsync(_service.PostAsync("/predict", new { features }))).GetProperty("score").GetSingle();
}
