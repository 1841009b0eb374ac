using System.Reflection;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.NeuralOde.Prediction;

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

    public static string Write(NeuralOdeModelSummary summary, ModelDescription description, OutputKind kind, byte[] payload) => JsonSerializer.Serialize(
        new
        {
            Library = $"{typeof(ModelMetadata).Assembly.GetName().Name} {Version}",
            PayloadReader.FormatVersion,
            Task = kind switch { OutputKind.Classes => "multiclass classification", OutputKind.Odds => "binary classification", _ => "regression" },
            Input = new { Column = description.FeatureColumn, Type = $"Vector<Single, {string.Join(", ", description.FeatureDimensions)}>" },
            Output = description.Columns,
            description.Classes,
            Model = summary,
            description.Options,
            Metrics = description.History.Count == 0 ? null : description.History[^1],
            TrainingHistory = description.History,
            PayloadBytes = payload.Length,
            PayloadSha256 = Convert.ToHexStringLower(SHA256.HashData(payload)),
        },
        Format);

    private static string Version =>
        typeof(ModelMetadata).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";
}
