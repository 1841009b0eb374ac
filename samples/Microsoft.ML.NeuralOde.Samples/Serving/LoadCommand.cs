using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>The command <c>load</c>: asks a running service for predictions from several connections at once.</summary>
internal static class LoadCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string> url = new("--url") { Description = "Where the service listens.", DefaultValueFactory = _ => "http://localhost:5000" };
        Option<int> connections = CommandOptions.Positive("--connections", 16, "Requests at a time.");
        Option<int> seconds = CommandOptions.Positive("--seconds", 10, "How long.");
        Option<string?> replacement = CommandOptions.Path("--replace", "FILE", "A model file to touch every second, so that the service loads it under load.");
        Option<string?> json = CommandOptions.Path("--json", "FILE", "Write the figures to this file.");
        Option<string?> markdown = CommandOptions.Path("--markdown", "FILE", "Write the figures into this document, instead of those that stand there.");
        var command = new System.CommandLine.Command("load", "Load-test a running prediction service with digits.") { url, connections, seconds, replacement, json, markdown };
        command.SetAction(async (result, token) =>
        {
            using var client = new HttpClient { BaseAddress = new Uri(result.GetValue(url)!) };
            LoadFigures figures = await RunAsync(client, result.GetValue(connections), TimeSpan.FromSeconds(result.GetValue(seconds)), result.GetValue(replacement), token);
            display.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"{figures.RequestsPerSecond:N0} requests/s, median {figures.MedianMilliseconds:F2} ms, 99th percentile {figures.P99Milliseconds:F2} ms, {figures.Errors} errors, {figures.Reloads} reloads."));
            if (result.GetValue(json) is { } jsonFile)
                await File.WriteAllTextAsync(jsonFile, JsonSerializer.Serialize(figures, Format) + "\n", token);
            if (result.GetValue(markdown) is { } markdownFile)
                DocumentSection.Write(markdownFile, "load", Document(figures));
            return figures.Errors == 0 ? 0 : 1;
        });
        return command;
    }

    private static async Task<LoadFigures> RunAsync(HttpClient client, int connections, TimeSpan duration, string? replacement, CancellationToken token)
    {
        byte[][] bodies = [.. PixelRow.From(EmbeddedDigits.Load().Test).Take(200).Select(row => JsonSerializer.SerializeToUtf8Bytes(new { features = row.Features }))];
        int before = await GenerationAsync(client, token);
        await SendAsync(client, bodies, connections, TimeSpan.FromSeconds(1), token);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task touching = replacement is null ? Task.CompletedTask : TouchAsync(replacement, stop.Token);
        (List<double> durations, int errors) = await SendAsync(client, bodies, connections, duration, token);
        await stop.CancelAsync();
        await touching;
        durations.Sort();
        if (durations.Count == 0)
            throw new UserException($"The service at {client.BaseAddress} answered no request.");
        return new LoadFigures(
            connections, duration.TotalSeconds, durations.Count / duration.TotalSeconds, durations[durations.Count / 2], durations[(int)(durations.Count * 0.99)], errors,
            await GenerationAsync(client, token) - before);
    }

    private static async Task<(List<double> Milliseconds, int Errors)> SendAsync(HttpClient client, byte[][] bodies, int connections, TimeSpan duration, CancellationToken token)
    {
        int errors = 0;
        long end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        List<double>[] all = await Task.WhenAll(Enumerable.Range(0, connections).Select(number => Task.Run(async () =>
        {
            var own = new List<double>();
            for (int i = number; Stopwatch.GetTimestamp() < end; i++)
            {
                using var content = new ByteArrayContent(bodies[i % bodies.Length]);
                content.Headers.ContentType = new("application/json");
                long started = Stopwatch.GetTimestamp();
                using HttpResponseMessage response = await client.PostAsync("/predict", content, token);
                await response.Content.ReadAsByteArrayAsync(token);
                own.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
                if (!response.IsSuccessStatusCode)
                    Interlocked.Increment(ref errors);
            }
            return own;
        }, token)));
        return ([.. all.SelectMany(list => list)], errors);
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

/// <summary>What a load test measured.</summary>
internal sealed record LoadFigures(int Connections, double Seconds, double RequestsPerSecond, double MedianMilliseconds, double P99Milliseconds, int Errors, int Reloads);
