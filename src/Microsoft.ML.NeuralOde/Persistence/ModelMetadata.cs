using System.Reflection;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>
/// What a model file says about its model to people: a text entry beside the binary one, “NeuralOde.json”. Loading does not read it.
/// </summary>
internal static class ModelMetadata
{
    public const string EntryName = "NeuralOde.json";

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        // Names of columns and classes stay readable; the file is no web page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <param name="task">What the model is for.</param>
    /// <param name="input">The columns that it reads.</param>
    /// <param name="output">The columns that it writes.</param>
    /// <param name="model">Its structure.</param>
    /// <param name="more">Further entries, written beside the others; null for none.</param>
    /// <param name="history">Its training, a report an epoch.</param>
    /// <param name="payload">The model as it stands in the file.</param>
    /// <returns>The name of the entry, and its text.</returns>
    public static (string Entry, string Text) Write(
        string task, object input, object output, object model, IReadOnlyDictionary<string, object?>? more, IReadOnlyList<object> history,
        byte[] payload)
    {
        var content = new Dictionary<string, object?>
        {
            ["library"] = $"{typeof(ModelMetadata).Assembly.GetName().Name} {Version}",
            ["formatVersion"] = PayloadReader.FormatVersion,
            ["task"] = task,
            ["input"] = input,
            ["output"] = output,
            ["model"] = model,
        };
        foreach ((string name, object? value) in more ?? new Dictionary<string, object?>())
            content[name] = value;
        content["metrics"] = history.Count == 0 ? null : history[^1];
        content["trainingHistory"] = history;
        content["payloadBytes"] = payload.Length;
        content["payloadSha256"] = Convert.ToHexStringLower(SHA256.HashData(payload));
        return (EntryName, JsonSerializer.Serialize(content, Format));
    }

    private static string Version =>
        typeof(ModelMetadata).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]
        ?? "";
}
