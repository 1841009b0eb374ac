using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>The service as its users see it: over HTTP on a free port.</summary>
public sealed class PredictionServiceTests : IAsyncLifetime, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly MLContext _mlContext = new(1);
    private readonly HttpClient _client = new();
    private WebApplication _app = null!;

    private string ModelFile => Path.Combine(_folder, "model.zip");

    public async Task InitializeAsync()
    {
        Save(Train(seed: 1), ModelFile);
        // The test looks at the file when it wants to: no waiting.
        _app = PredictionService.Create(["--urls", "http://127.0.0.1:0", "--Model:File", ModelFile, "--Model:ReloadInterval", "01:00:00",
            "--Model:MaximumRows", "50", "--Logging:LogLevel:Default", "None"]);
        await _app.StartAsync();
        _client.BaseAddress = new Uri(_app.Urls.Single());
    }

    public async Task DisposeAsync() => await _app.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task It_answers_as_the_model_does_for_one_row_and_for_many()
    {
        float[][] rows = [[1, 2], [-2, -1], [2, -1.5f]];
        Answer[] expected = Expected(ModelFile, rows);

        foreach ((float[] row, Answer answer) in rows.Zip(expected))
            (await PredictAsync(row)).Should().BeEquivalentTo(answer);
        HttpResponseMessage response = await _client.PostAsJsonAsync("/predict/batch", new { rows });
        (await response.Content.ReadFromJsonAsync<Answer[]>()).Should().BeEquivalentTo(expected);

        string metrics = await _client.GetStringAsync("/metrics");
        metrics.Should().Contain("neuralode_requests_total{endpoint=\"/predict\",status=\"200\"} 3").And.Contain("neuralode_rows_total 6")
            .And.Contain("neuralode_model_generation 1").And.Contain("neuralode_request_seconds_count 4");
    }

    [Theory]
    [InlineData("/predict", "{}", "*'features' is missing*2 numbers*")]
    [InlineData("/predict", "{\"features\":[1]}", "*'features' has 1 numbers; the model needs 2*")]
    [InlineData("/predict", "{\"features\":[1e39,1]}", "*")]
    [InlineData("/predict", "{\"features\":[\"a\",1]}", "*")]
    [InlineData("/predict", "nonsense", "*")]
    [InlineData("/predict/batch", "{\"rows\":[[1,2],[3]]}", "*Row 1 of 'rows' has 1 numbers*")]
    [InlineData("/predict/batch", "{\"rows\":[]}", "*'rows' has 0 rows; it must have 1 to 50*")]
    public async Task Bad_requests_are_refused_with_the_reason(string path, string body, string reason)
    {
        using var content = new StringContent(body, System.Text.Encoding.UTF8, "application/json");
        HttpResponseMessage response = await _client.PostAsync(path, content);

        response.StatusCode.Should().Be(HttpStatusCode.BadRequest);
        (await response.Content.ReadAsStringAsync()).Replace("\\u0027", "'", StringComparison.Ordinal).Should().Match(reason);
    }

    [Fact]
    public async Task A_changed_file_is_taken_under_load_without_an_error_and_a_broken_one_is_not()
    {
        float[] row = [0.3f, 0.4f];
        string second = Path.Combine(_folder, "second.zip");
        Save(Train(seed: 2), second);
        Answer first = Expected(ModelFile, [row])[0];
        Answer next = Expected(second, [row])[0];
        first.Should().NotBeEquivalentTo(next);
        ModelStore store = _app.Services.GetRequiredService<ModelStore>();

        using var stop = new CancellationTokenSource();
        Task<Answer[]>[] clients = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            var answers = new List<Answer>();
            while (!stop.IsCancellationRequested)
                answers.Add(await PredictAsync(row));
            return answers.ToArray();
        }))];
        for (int round = 0; round < 6; round++)
        {
            await Task.Delay(30);
            string source = round % 2 == 0 ? second : ModelFile + ".first";
            if (round == 0)
                File.Copy(ModelFile, ModelFile + ".first");
            File.Copy(source, ModelFile + ".new");
            File.Move(ModelFile + ".new", ModelFile, overwrite: true);
            File.SetLastWriteTimeUtc(ModelFile, DateTime.UtcNow.AddSeconds(round));
            store.Check();
        }
        await stop.CancelAsync();
        Answer[] all = [.. (await Task.WhenAll(clients)).SelectMany(answers => answers)];

        all.Should().NotBeEmpty();
        foreach (Answer answer in all)
            (Same(answer, first) || Same(answer, next)).Should().BeTrue("every answer comes from one of both models");
        (await HealthAsync()).GetProperty("generation").GetInt32().Should().Be(7);
        (await PredictAsync(row)).Should().BeEquivalentTo(first);

        byte[] whole = File.ReadAllBytes(second);
        File.WriteAllBytes(ModelFile, whole[..(whole.Length / 2)]);
        store.Check();
        (await PredictAsync(row)).Should().BeEquivalentTo(first);
        JsonElement health = await HealthAsync();
        health.GetProperty("generation").GetInt32().Should().Be(7);
        health.GetProperty("lastFailure").GetString().Should().Contain("cannot be served");
        (await _client.GetStringAsync("/metrics")).Should()
            .Contain("neuralode_model_reload_failures_total 1").And.Contain("neuralode_model_reloads_total 6");

        File.WriteAllBytes(ModelFile, whole);
        store.Check();
        (await PredictAsync(row)).Should().BeEquivalentTo(next);
        (await HealthAsync()).GetProperty("lastFailure").ValueKind.Should().Be(JsonValueKind.Null);
    }

    [Fact]
    public void Without_a_model_that_works_it_does_not_start()
    {
        string damaged = Path.Combine(_folder, "damaged.zip");
        File.WriteAllText(damaged, "no model");
        Action act = () =>
            PredictionService.Create(["--urls", "http://127.0.0.1:0", "--Model:File", damaged, "--Logging:LogLevel:Default", "None"]);
        act.Should().Throw<ModelFileException>().WithMessage("*damaged.zip*cannot be served*no zip archive*");
    }

    [Fact]
    public async Task Only_the_model_with_the_seal_of_the_configuration_is_served()
    {
        string other = Path.Combine(_folder, "other.zip");
        string seal = Save(Train(seed: 2), other);
        string[] settings = ["--urls", "http://127.0.0.1:0", "--Model:Seal", seal, "--Logging:LogLevel:Default", "None"];
        await using (PredictionService.Create([.. settings, "--Model:File", other]))
        {
            Action act = () => PredictionService.Create([.. settings, "--Model:File", ModelFile]);
            act.Should().Throw<ModelFileException>().WithMessage($"*bears the seal *; expected is {seal}*");
        }
    }

    private static bool Same(Answer a, Answer b) => a.Label == b.Label && a.Scores.AsSpan().SequenceEqual(b.Scores);

    private async Task<Answer> PredictAsync(float[] features)
    {
        HttpResponseMessage response = await _client.PostAsJsonAsync("/predict", new { features });
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<Answer>())!;
    }

    private async Task<JsonElement> HealthAsync() => await _client.GetFromJsonAsync<JsonElement>("/health");

    private Answer[] Expected(string file, float[][] rows)
    {
        ITransformer model = _mlContext.Model.Load(file, out _);
        using var engine = _mlContext.Model.CreatePredictionEngine<Point, Cloud>(model);
        return Array.ConvertAll(rows,
            row => engine.Predict(new Point { Features = row }) is var prediction
            ? new Answer(prediction.PredictedLabel, [.. prediction.Score]) : null!);
    }

    private TransformerChain<Microsoft.ML.Transforms.KeyToValueMappingTransformer> Train(int seed)
    {
        var options = new NeuralOdeClassificationTrainer.Options
        {
            NumberOfEpochs = 4,
            BatchSize = 16,
            LearningRate = 0.02,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            Seed = seed
        };
        return _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(options))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(Points());
    }

    private string Save(ITransformer model, string file) => _mlContext.Model.SaveSealed(model, Points().Schema, file);

    private IDataView Points()
    {
        var random = new Random(1);
        (string Name, float X, float Y)[] centres = [("red", 0, 2), ("green", -2, -1), ("blue", 2, -1)];
        return _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(i => centres[i % 3] is var centre
            ? new Point { Label = centre.Name, Features = [centre.X + random.NextSingle() - 0.5f, centre.Y + random.NextSingle() - 0.5f] }
            : null!).ToList());
    }

    private sealed record Answer(string Label, float[] Scores);

    private sealed class Point
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public string Label { get; set; } = "";
    }

    private sealed class Cloud
    {
        public string PredictedLabel { get; set; } = "";

        public float[] Score { get; set; } = [];
    }
}
