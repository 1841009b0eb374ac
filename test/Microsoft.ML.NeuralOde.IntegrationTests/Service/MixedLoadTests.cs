using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Data;
using Xunit.Abstractions;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Service;

/// <summary>
/// The service as a process of its own under mixed load, while good, wrong and broken models change places in its file: every answer is the
/// right one of the model that it names. A short form by default; NEURALODE_SOAK_SECONDS makes it longer.
/// </summary>
[Trait("Category", "Slow")]
public sealed partial class MixedLoadTests(ITestOutputHelper output) : IDisposable
{
    private const int Clients = 8;
    private const int ShortSeconds = 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("neural-ode-service-").FullName;
    private readonly MLContext _mlContext = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Under_mixed_load_and_changing_models_every_answer_is_right_and_memory_returns()
    {
        TimeSpan duration = TimeSpan.FromSeconds(
            int.TryParse(Environment.GetEnvironmentVariable("NEURALODE_SOAK_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture,
                out int seconds) ? seconds : ShortSeconds);
        float[][] points = [.. ServedModels.Rows().Take(40).Select(row => row.Features)];
        (byte[] first, Answer[] firstAnswers) = Good(seed: 1, points);
        (byte[] second, Answer[] secondAnswers) = Good(seed: 2, points);
        firstAnswers[0].Scores.Should().NotEqual(secondAnswers[0].Scores);
        var expected = new Dictionary<string, Answer[]> { [Version(first)] = firstAnswers, [Version(second)] = secondAnswers };
        (string Name, byte[] Bytes)[] changes =
        [
            ("good", second), ("broken", first[..(first.Length / 2)]), ("wrong", Other("density")), ("good", first),
            ("broken", [.. "no model"u8]),
            ("broken", Flipped(second)), ("wrong", Other("regression")), ("wrong", Unscored()),
        ];
        string file = Path.Combine(_folder, "model.zip");
        File.WriteAllBytes(file, first);

        using Process process = Start(file, out Task<string> address);
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri(await address.WaitAsync(TimeSpan.FromSeconds(60))) };
            var counts = new Counts();
            await LoadAsync(client, TimeSpan.FromSeconds(1), points, expected, new Counts());
            double before = await MemoryAsync(client);

            using var stop = new CancellationTokenSource();
            Task changing = ChangeAsync(file, changes, counts, stop.Token);
            Task<double> watching = WatchAsync(client, stop.Token);
            await LoadAsync(client, duration, points, expected, counts);
            await stop.CancelAsync();
            await changing;
            double most = await watching;
            // Whatever it holds for requests and former models goes.
            double after = double.MaxValue;
            for (int i = 0; i < 20 && after > before * 1.25; i++)
            {
                await LoadAsync(client, TimeSpan.FromSeconds(0.25), points, expected, new Counts());
                after = Math.Min(after, await MemoryAsync(client));
            }
            string metrics = await client.GetStringAsync("/metrics");
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{duration.TotalSeconds} s: {counts.Answers} answers, {counts.Rows} rows, {counts.Refusals} refusals, {counts.Changes} changes of the file, "
                + $"{Value(metrics, "neuralode_model_reloads_total")} models taken, {Value(metrics, "neuralode_model_reload_failures_total")} not; "
                + $"resident memory {before / 1e6:F0} MB before, {most / 1e6:F0} MB at most, {after / 1e6:F0} MB after."));

            counts.Wrong.Should().BeEmpty();
            counts.Answers.Should().BeGreaterThan(100);
            counts.Refusals.Should().BeGreaterThan(20);
            Value(metrics, "neuralode_model_reloads_total").Should().BeGreaterThan(1);
            Value(metrics, "neuralode_model_reload_failures_total").Should().BeGreaterThan(2);
            after.Should().BeLessThan(before * 1.5 + 64e6);
            process.HasExited.Should().BeFalse();
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
    }

    private static async Task LoadAsync(
        HttpClient client, TimeSpan duration, float[][] points, Dictionary<string, Answer[]> expected, Counts counts)
    {
        long started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(number => Task.Run(async () =>
        {
            for (int i = number; Stopwatch.GetElapsedTime(started) < duration && counts.Wrong.Count < 10; i++)
                await AskAsync(client, i, points, expected, counts);
        })));
    }

    /// <summary>Most requests ask for one row; some for many, some for what is no row, some for descriptions.</summary>
    private static async Task AskAsync(
        HttpClient client, int number, float[][] points, Dictionary<string, Answer[]> expected, Counts counts)
    {
        int place = number % points.Length;
        switch (number % 16)
        {
            case 3 or 11:
                using (HttpResponseMessage response = await client.PostAsJsonAsync("/predict/batch", new { rows = points }))
                    Compare(response, response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync<Answer[]>() : null, expected,
                        answers => answers, counts);
                break;
            case 5 or 13:
                object[] bad =
                [new { features = new[] { 9 } }, new { features = (int[]?)null }, new { features = points[place], more = 1 }, new { }];
                using (HttpResponseMessage response = await client.PostAsJsonAsync("/predict", bad[number / 16 % bad.Length]))
                    Refused(response, 400, counts);
                break;
            case 9:
                using (HttpResponseMessage response =
                    await client.PostAsync("/predict", new StringContent("x", System.Text.Encoding.UTF8, "text/plain")))
                    Refused(response, 415, counts);
                break;
            case 15:
                string[] paths = ["/model", "/health", "/openapi/v1.json", "/"];
                using (HttpResponseMessage response = await client.GetAsync(paths[number / 16 % paths.Length]))
                    if (!response.IsSuccessStatusCode)
                        counts.Fail($"{response.RequestMessage!.RequestUri}: {response.StatusCode}");
                break;
            default:
                using (HttpResponseMessage response = await client.PostAsJsonAsync("/predict", new { features = points[place] }))
                    Compare(response, response.IsSuccessStatusCode ? [(await response.Content.ReadFromJsonAsync<Answer>())!] : null,
                        expected, answers => [answers[place]], counts);
                break;
        }
    }

    private static void Compare(HttpResponseMessage response, Answer[]? found, Dictionary<string, Answer[]> expected, Func<Answer[],
        Answer[]> choose, Counts counts)
    {
        if (found is null)
        {
            counts.Fail($"{response.RequestMessage!.RequestUri}: {response.StatusCode}");
            return;
        }
        Answer[] right = choose(expected[response.Headers.GetValues("Model-Version").Single()]);
        if (found.Length != right.Length
            || !found.Zip(right).All(pair => pair.First.Label == pair.Second.Label && pair.First.Scores.SequenceEqual(pair.Second.Scores)))
            counts.Fail(JsonSerializer.Serialize(found));
        counts.Answer(found.Length);
    }

    private static void Refused(HttpResponseMessage response, int status, Counts counts)
    {
        if ((int)response.StatusCode != status || response.Content.Headers.ContentType?.MediaType != "application/problem+json")
            counts.Fail($"{response.StatusCode} {response.Content.Headers.ContentType}");
        counts.Refuse();
    }

    /// <summary>Some changes come at once, some while the file is being written.</summary>
    private static async Task ChangeAsync(string file, (string Name, byte[] Bytes)[] changes, Counts counts, CancellationToken token)
    {
        for (int i = 0; !token.IsCancellationRequested; i++)
        {
            byte[] bytes = changes[i % changes.Length].Bytes;
            if (i % 3 == 0)
            {
                await using FileStream stream = new(file, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
                for (int start = 0; start < bytes.Length; start += 4096)
                    stream.Write(bytes.AsSpan(start, Math.Min(4096, bytes.Length - start)));
            }
            else
            {
                File.WriteAllBytes(file + ".new", bytes);
                File.Move(file + ".new", file, overwrite: true);
            }
            counts.Change();
            await Task.Delay(150, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        File.WriteAllBytes(file, changes[0].Bytes);
    }

    private static async Task<double> WatchAsync(HttpClient client, CancellationToken token)
    {
        double most = 0;
        while (!token.IsCancellationRequested)
        {
            most = Math.Max(most, await MemoryAsync(client));
            await Task.Delay(250, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        return most;
    }

    private static async Task<double> MemoryAsync(HttpClient client) =>
        Value(await client.GetStringAsync("/metrics"), "process_resident_memory_bytes");

    private static double Value(string metrics, string name) =>
        double.Parse(metrics.Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal)).Split(' ')[1],
            CultureInfo.InvariantCulture);

    private static Process Start(string file, out Task<string> address)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!.EndsWith("dotnet", StringComparison.Ordinal)
            ? Environment.ProcessPath : "dotnet")
        {
            ArgumentList =
            {
                Path.Combine(AppContext.BaseDirectory, "Microsoft.ML.NeuralOde.Service.dll"), "--urls", "http://127.0.0.1:0",
                "--Model:File", file,
                "--Model:ReloadInterval", "00:00:00.050", "--Logging:LogLevel:Default",
                "None", "--Logging:LogLevel:Microsoft.Hosting.Lifetime", "Information",
            },
            RedirectStandardOutput = true,
            WorkingDirectory = AppContext.BaseDirectory,
        };
        Process process = Process.Start(start)!;
        var found = new TaskCompletionSource<string>();
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is not null && AddressPattern().Match(line.Data) is { Success: true } match)
                found.TrySetResult(match.Value);
        };
        process.BeginOutputReadLine();
        address = found.Task;
        return process;
    }

    private (byte[] File, Answer[] Answers) Good(int seed, float[][] points)
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "multiclass", seed);
        IDataView scored =
            model.Transform(_mlContext.Data.LoadFromEnumerable(points.Select(point => new ServedRow { Features = point, Colour = "red" })));
        string[] labels = [.. scored.GetColumn<ReadOnlyMemory<char>>("PredictedLabel").Select(label => label.ToString())];
        return (Bytes(model, data), [.. scored.GetColumn<float[]>("Score").Zip(labels, (scores, label) => new Answer(label, scores))]);
    }

    private byte[] Other(string kind)
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, kind);
        return Bytes(model, data);
    }

    /// <summary>A classifier of the right form that gives no numbers.</summary>
    private byte[] Unscored()
    {
        (ITransformer model, IDataView data) = ServedModels.Fit(_mlContext, "multiclass", seed: 3);
        return Bytes(
            new TransformerChain<ITransformer>(_mlContext.Transforms.Expression("Features", "x => x / 0f", "Features").Fit(data), model),
            data);
    }

    private byte[] Bytes(ITransformer model, IDataView data)
    {
        string file = Path.Combine(_folder, "made.zip");
        _mlContext.Model.SaveSealed(model, data.Schema, file);
        return File.ReadAllBytes(file);
    }

    /// <summary>
    /// A run of bytes is changed: a single one may be part of an archive's time stamp, which says nothing of its content.
    /// </summary>
    private static byte[] Flipped(byte[] bytes)
    {
        byte[] other = [.. bytes];
        foreach (ref byte one in other.AsSpan(other.Length / 3, 256))
            one ^= 0x10;
        return other;
    }

    private static string Version(byte[] file) => Convert.ToHexStringLower(SHA256.HashData(file))[..12];

    [GeneratedRegex("http://127\\.0\\.0\\.1:[0-9]+")]
    private static partial Regex AddressPattern();

    private sealed record Answer(string Label, float[] Scores);

    /// <summary>What happened, counted by all clients.</summary>
    private sealed class Counts
    {
        private readonly Lock _lock = new();

        public List<string> Wrong { get; } = [];

        public long Answers { get; private set; }

        public long Rows { get; private set; }

        public long Refusals { get; private set; }

        public long Changes { get; private set; }

        public void Fail(string what) => Locked(() => Wrong.Add(what));

        public void Refuse() => Locked(() => Refusals++);

        public void Change() => Locked(() => Changes++);

        public void Answer(int rows) => Locked(() =>
        {
            Answers++;
            Rows += rows;
        });

        private void Locked(Action act)
        {
            lock (_lock)
                act();
        }
    }
}
