using System.Collections.Concurrent;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>The command <c>load</c>: asks a running service for predictions from several connections at once.</summary>
internal static class LoadCommand
{
    private static readonly TimeSpan FailurePause = TimeSpan.FromMilliseconds(50);
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<Uri> url = CommandOptions.Address("--url", "http://localhost:5000", "Where the service listens.");
        Option<int> connections = CommandOptions.Positive("--connections", 16, "Requests at a time.");
        Option<int> seconds = CommandOptions.Positive("--seconds", 10, "How long.");
        Option<int> seed = CommandOptions.Seed(1, "Seed of the numbers that are sent, where the model takes no digits.");
        Option<string?> replacement =
            CommandOptions.Path("--replace", "FILE", "A model file to touch every second, so that the service loads it under load.");
        Option<string?> json = CommandOptions.Json();
        Option<string?> markdown =
            CommandOptions.Product("--markdown", "Write the figures into this document, instead of those that stand there.");
        var command = new System.CommandLine.Command(
            "load", "Load-test a running prediction service.") { url, connections, seconds, seed, replacement, json, markdown };
        command.SetAction(async (result, token) =>
        {
            OutputFile? jsonFile = OutputFile.At("--json", result.GetValue(json)),
                document = OutputFile.At("--markdown", result.GetValue(markdown));
            using var client = new HttpClient { BaseAddress = result.GetValue(url) };
            LoadFigures figures = await RunAsync(
                client, result.GetValue(connections), TimeSpan.FromSeconds(result.GetValue(seconds)), result.GetValue(seed),
                result.GetValue(replacement), token);
            display.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"{figures.RequestsPerSecond:N0} requests/s, median {figures.MedianMilliseconds:F2} ms, 99th percentile {figures.P99Milliseconds:F2} ms, {figures.Errors} errors, {figures.Reloads} reloads."));
            foreach (LoadError error in figures.Reasons)
                display.Line($"  {error.Count:N0} × {error.Reason}");
            jsonFile?.WriteJson(figures, Format);
            if (document is not null)
                DocumentSection.Write(document.FullPath, "load", Document(figures));
            return figures.Errors == 0 ? 0 : 1;
        });
        return command;
    }

    private static async Task<LoadFigures> RunAsync(
        HttpClient client, int connections, TimeSpan duration, int seed, string? replacement, CancellationToken token)
    {
        int before = await GenerationAsync(client, token);
        LoadRequests requests = await LoadRequests.AskAsync(client, seed, token);
        await SendAsync(client, requests, connections, TimeSpan.FromSeconds(1), token);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task touching = replacement is null ? Task.CompletedTask : TouchAsync(replacement, stop.Token);
        Answers answers = await SendAsync(client, requests, connections, duration, token);
        await stop.CancelAsync();
        await touching;
        List<double> durations = answers.Milliseconds;
        if (durations.Count == 0)
            throw new UserException(
                $"The service at {client.BaseAddress} answered no request.{string.Concat(answers.Reasons.Select(reason => $" {reason.Count:N0} × {reason.Reason}."))}");
        durations.Sort();
        return new LoadFigures(
            connections, duration.TotalSeconds, durations.Count / duration.TotalSeconds, durations[durations.Count / 2],
            durations[(int)(durations.Count * 0.99)],
            answers.Reasons.Sum(reason => reason.Count), answers.Reasons, await GenerationAsync(client, token) - before);
    }

    private static async Task<Answers> SendAsync(
        HttpClient client, LoadRequests requests, int connections, TimeSpan duration, CancellationToken token)
    {
        var errors = new ConcurrentDictionary<string, int>();
        long end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        List<double>[] all = await Task.WhenAll(Enumerable.Range(0, connections).Select(number => Task.Run(async () =>
        {
            var own = new List<double>();
            for (int i = number; Stopwatch.GetTimestamp() < end; i++)
            {
                using ByteArrayContent content = requests.Content(i);
                long started = Stopwatch.GetTimestamp();
                try
                {
                    using HttpResponseMessage response = await client.PostAsync("/predict", content, token);
                    byte[] body = await response.Content.ReadAsByteArrayAsync(token);
                    own.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
                    if (!response.IsSuccessStatusCode)
                        errors.AddOrUpdate($"{(int)response.StatusCode} {response.ReasonPhrase}{Detail(body)}", 1, (_, count) => count + 1);
                }
                catch (HttpRequestException exception)
                {
                    errors.AddOrUpdate(exception.Message, 1, (_, count) => count + 1);
                    await Task.Delay(FailurePause, token); // A service that is gone is not asked as fast as it refuses.
                }
            }
            return own;
        }, token)));
        return new Answers([.. all.SelectMany(list => list)],
            [.. errors.Select(pair => new LoadError(pair.Key, pair.Value)).OrderByDescending(error => error.Count)]);
    }

    /// <summary>What the problem details of an answer (RFC 9457) say.</summary>
    private static string Detail(byte[] body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            foreach (string name in (string[])["detail", "title"])
                if (document.RootElement.ValueKind == JsonValueKind.Object
                    && document.RootElement.TryGetProperty(name, out JsonElement text))
                    return $": {text}";
        }
        catch (JsonException)
        {
            // Not JSON: the status has to do.
        }
        return "";
    }

    private static async Task TouchAsync(string file, CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
            await Task.Delay(1000, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static async Task<int> GenerationAsync(HttpClient client, CancellationToken token)
    {
        try
        {
            return (await client.GetFromJsonAsync<JsonElement>("/health", token)).GetProperty("generation").GetInt32();
        }
        catch (HttpRequestException exception)
        {
            throw new UserException($"No service answers at {client.BaseAddress}: {exception.Message}", exception);
        }
    }

    private static string Document(LoadFigures figures) => new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"""
        By `dotnet run -c Release --project samples/Microsoft.ML.NeuralOde.Samples -- load --replace FILE --markdown docs/performance.md` on
        {RuntimeInformation.OSDescription}, {Environment.ProcessorCount} processors, {RuntimeInformation.FrameworkDescription}.

        | what | value |
        |---|---:|
        | connections | {figures.Connections} |
        | seconds | {figures.Seconds:N0} |
        | requests/s | {figures.RequestsPerSecond:N0} |
        | median, ms | {figures.MedianMilliseconds:F2} |
        | 99th percentile, ms | {figures.P99Milliseconds:F2} |
        | errors | {figures.Errors} |
        | reloads | {figures.Reloads} |

        """).ReplaceLineEndings("\n")).ToString();
}

/// <summary>Failed requests of one kind.</summary>
internal sealed record LoadError(string Reason, int Count);

/// <summary>The durations of the requests that were answered, and what went wrong.</summary>
internal sealed record Answers(List<double> Milliseconds, IReadOnlyList<LoadError> Reasons);

/// <summary>What a load test measured.</summary>
internal sealed record LoadFigures(
    int Connections, double Seconds, double RequestsPerSecond, double MedianMilliseconds, double P99Milliseconds, int Errors,
    IReadOnlyList<LoadError> Reasons, int Reloads);
