using System.Diagnostics;
using System.Text.Json;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>Which changes of the model file are seen, and which of them are taken.</summary>
public sealed class ReloadTests : IDisposable
{
    private static readonly float[] Point = [0.3f, 0.4f];

    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_change_of_equal_time_and_length_is_seen()
    {
        (string file, float first) = Save("model.zip", "regression", seed: 1);
        DateTime time = File.GetLastWriteTimeUtc(file);
        await using ServiceHost service = await ServiceHost.StartAsync(file);
        (await ScoreAsync(service)).Should().Be(first);

        (string other, float second) = Save("other.zip", "regression", seed: 2);
        byte[] bytes = File.ReadAllBytes(other), before = File.ReadAllBytes(file);
        // A zip archive may have a comment: it brings both to one length.
        int length = Math.Max(bytes.Length, before.Length) + 8;
        File.WriteAllBytes(file, WithComment(before, length));
        File.SetLastWriteTimeUtc(file, time);
        service.Store.Check();
        File.WriteAllBytes(file, WithComment(bytes, length));
        File.SetLastWriteTimeUtc(file, time);
        service.Store.Check();
        (await ScoreAsync(service)).Should().Be(second).And.NotBe(first);
    }

    [Fact]
    public async Task A_change_behind_symbolic_links_is_seen()
    {
        if (OperatingSystem.IsWindows())
            return; // Links need rights there.
        // As Kubernetes mounts a volume: model.zip -> ..data/model.zip, ..data -> a folder, and only ..data is exchanged.
        string mount = Directory.CreateDirectory(Path.Combine(_folder, "mount")).FullName;
        float[] scores = new float[2];
        for (int i = 0; i < 2; i++)
        {
            Directory.CreateDirectory(Path.Combine(mount, $"..version{i}"));
            scores[i] = Save(Path.Combine("mount", $"..version{i}", "model.zip"), "regression", seed: i + 1).Score;
            File.SetLastWriteTimeUtc(Path.Combine(mount, $"..version{i}", "model.zip"), DateTime.UnixEpoch);
        }
        Directory.CreateSymbolicLink(Path.Combine(mount, "..data"), "..version0");
        File.CreateSymbolicLink(Path.Combine(mount, "model.zip"), Path.Combine("..data", "model.zip"));
        await using ServiceHost service = await ServiceHost.StartAsync(Path.Combine(mount, "model.zip"));
        (await ScoreAsync(service)).Should().Be(scores[0]);

        Directory.CreateSymbolicLink(Path.Combine(mount, "..next"), "..version1");
        Directory.Delete(Path.Combine(mount, "..data"));
        Directory.Move(Path.Combine(mount, "..next"), Path.Combine(mount, "..data"));
        service.Store.Check();
        (await ScoreAsync(service)).Should().Be(scores[1]).And.NotBe(scores[0]);
    }

    [Fact]
    public async Task What_is_no_regular_file_stops_nothing_and_is_told_once()
    {
        (string file, float score) = Save("model.zip", "regression", seed: 1);
        byte[] bytes = File.ReadAllBytes(file);
        await using ServiceHost service = await ServiceHost.StartAsync(file);
        File.Delete(file);
        service.Store.Check();
        service.Store.Check();
        service.Store.LastFailure.Should().Contain("model.zip").And.Contain("cannot be opened");

        if (!OperatingSystem.IsWindows())
        {
            using (Process pipe = Process.Start("mkfifo", [file]))
                await pipe.WaitForExitAsync();
            await WithinAsync(service.Store.Check);
            service.Store.LastFailure.Should().Contain("pipe");
            File.Delete(file);
            File.CreateSymbolicLink(file, "/dev/zero");
            await WithinAsync(service.Store.Check);
            service.Store.LastFailure.Should().Contain("empty or a device");
            File.Delete(file);
        }
        Directory.CreateDirectory(file);
        service.Store.Check();
        service.Store.LastFailure.Should().Contain("folder");
        Directory.Delete(file);
        (await ScoreAsync(service)).Should().Be(score);
        (await service.Client.GetStringAsync("/health/ready")).Should().Be("Degraded");
        (await service.Client.GetStringAsync("/metrics")).Should()
            .Contain($"neuralode_model_reload_failures_total {(OperatingSystem.IsWindows() ? 2 : 4)}");

        File.WriteAllBytes(file, bytes);
        service.Store.Check();
        service.Store.LastFailure.Should().BeNull();
        (await service.Client.GetStringAsync("/health/ready")).Should().Be("Healthy");
        JsonDocument.Parse(await service.Client.GetStringAsync("/health")).RootElement.GetProperty("generation")
            .GetInt32().Should().Be(1, "it is the model that answers already");
    }

    [Theory]
    [InlineData("density")]
    [InlineData("anomaly")]
    [InlineData("binary")]
    [InlineData("targets")]
    public async Task A_model_of_another_task_is_taken_only_where_that_is_allowed(string other)
    {
        (string file, _) = Save("model.zip", "multiclass", seed: 1);
        byte[] next = File.ReadAllBytes(Save("next.zip", other, seed: 1).File);
        await using (ServiceHost service = await ServiceHost.StartAsync(file))
        {
            File.WriteAllBytes(file, next);
            service.Store.Check();
            service.Store.LastFailure.Should()
                .Contain("another model").And.Contain("AllowAnotherTask").And.Contain("multiclass classification");
            (await AnswerAsync(service)).GetProperty("label").GetString().Should().BeOneOf("red", "green", "blue");
        }
        Save("model.zip", "multiclass", seed: 1);
        await using (ServiceHost service = await ServiceHost.StartAsync(file, "--Model:AllowAnotherTask", "true"))
        {
            File.WriteAllBytes(file, next);
            service.Store.Check();
            service.Store.LastFailure.Should().BeNull();
            if (other == "density")
                (await ServiceHost.ProblemAsync(service.PostAsync("/predict", new { features = Point }), 400)).Should()
                .Contain("'target' is missing");
            else
                (await AnswerAsync(service)).TryGetProperty("classes", out _).Should().BeFalse();
        }
    }

    [Fact]
    public async Task A_model_that_scores_nothing_does_not_replace_one_that_does()
    {
        (string file, float score) = Save("model.zip", "regression", seed: 1);
        await using ServiceHost service = await ServiceHost.StartAsync(file);
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "regression", seed: 2);
        ITransformer broken =
            new TransformerChain<ITransformer>(_mlContext.Transforms.Expression("Features", "x => x / 0f", "Features").Fit(data), model);
        _mlContext.Model.SaveSealed(broken, data.Schema, file);
        service.Store.Check();
        service.Store.LastFailure.Should().Contain("scored none of them").And.Contain("not finite");
        (await ScoreAsync(service)).Should().Be(score);
    }

    [Fact]
    public async Task Files_without_a_seal_are_refused_where_one_is_required()
    {
        string file = Path.Combine(_folder, "model.zip");
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "regression");
        _mlContext.Model.Save(model, data.Schema, file);
        Func<Task> act = () => ServiceHost.StartAsync(file, "--Model:RequireSeal", "true");
        (await act.Should().ThrowAsync<Microsoft.ML.NeuralOde.Service.ModelFileException>()).WithMessage("*no seal*SaveSealed*");
    }

    private (string File, float Score) Save(string name, string kind, int seed)
    {
        string file = Path.Combine(_folder, name);
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, kind, seed);
        _mlContext.Model.SaveSealed(model, data.Schema, file);
        if (kind != "regression")
            return (file, 0);
        IDataView scored = model.Transform(_mlContext.Data.LoadFromEnumerable([new ServedRow { Features = Point }]));
        return (file, scored.GetColumn<float>("Score").Single());
    }

    private static byte[] WithComment(byte[] archive, int length)
    {
        byte[] longer = new byte[length];
        archive.CopyTo(longer, 0);
        // The comment's length stands at the end of the archive's last record.
        BitConverter.TryWriteBytes(longer.AsSpan(archive.Length - 2), (ushort)(length - archive.Length));
        return longer;
    }

    private static async Task WithinAsync(Action act)
    {
        Task done = Task.Run(act);
        (await Task.WhenAny(done, Task.Delay(TimeSpan.FromSeconds(30)))).Should().BeSameAs(done, "it must not wait for a writer");
        await done;
    }

    private static Task<JsonElement> AnswerAsync(ServiceHost service) =>
        ServiceHost.AnswerAsync(service.PostAsync("/predict", new { features = Point }));

    private static async Task<float> ScoreAsync(ServiceHost service) => (await AnswerAsync(service)).GetProperty("score").GetSingle();
}
