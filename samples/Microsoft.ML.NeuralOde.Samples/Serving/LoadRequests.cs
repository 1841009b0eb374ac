using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>
/// Bodies that a running service understands: digits where its model takes images or so many pixels, random numbers otherwise.
/// </summary>
internal sealed class LoadRequests
{
    private const int Count = 200;
    private const string Png = "image/png";

    private readonly byte[][] _bodies;
    private readonly MediaTypeHeaderValue _type;

    private LoadRequests(byte[][] bodies, string type)
    {
        _bodies = bodies;
        _type = new MediaTypeHeaderValue(type);
    }

    /// <summary>Asks the service what it takes.</summary>
    /// <exception cref="UserException">It takes neither an image nor numbers.</exception>
    public static async Task<LoadRequests> AskAsync(HttpClient client, int seed, CancellationToken token)
    {
        JsonElement model = await client.GetFromJsonAsync<JsonElement>("/model", token);
        if (model.GetProperty("contentTypes").GetString()!.Contains(Png, StringComparison.Ordinal))
        {
            MnistImages digits = EmbeddedDigits.Load().Test;
            return new LoadRequests([.. Enumerable.Range(0, Count).Select(i => DigitFiles.ToPng(digits.GetPixels(i)))], Png);
        }
        JsonElement[] inputs = [.. model.GetProperty("inputs").EnumerateArray()];
        var random = new Random(seed);
        PixelRow[] pixels = PixelRow.From(EmbeddedDigits.Load().Test);
        return new LoadRequests(
            [.. Enumerable.Range(0, Count)
                .Select(i =>
                    JsonSerializer.SerializeToUtf8Bytes(
                        inputs.ToDictionary(input => input.GetProperty("field").GetString()!, input => Value(input, i))))],
            "application/json");

        object Value(JsonElement input, int number)
        {
            int size = input.GetProperty("dimensions").EnumerateArray().Aggregate(1, (product, length) => product * length.GetInt32());
            return input.GetProperty("kind").GetString() switch
            {
                "numbers" when size == pixels[number].Features.Length => pixels[number].Features,
                "numbers" => Enumerable.Range(0, size).Select(_ => random.NextSingle()).ToArray(),
                "number" => random.NextSingle(),
                var kind => throw new UserException(
                    $"The service's model takes {kind} in field '{input.GetProperty("field")}'; only images and numbers can be made up here."),
            };
        }
    }

    /// <summary>The body of one request.</summary>
    public ByteArrayContent Content(int number)
    {
        var content = new ByteArrayContent(_bodies[number % _bodies.Length]);
        content.Headers.ContentType = _type;
        return content;
    }
}
