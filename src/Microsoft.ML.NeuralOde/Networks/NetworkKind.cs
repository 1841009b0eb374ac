using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>A kind of network, as model files name it.</summary>
/// <param name="Name">The name in files.</param>
/// <param name="Version">The newest version of its description that is read.</param>
/// <param name="Description">The record that describes such networks.</param>
internal sealed record NetworkKind(string Name, int Version, Type Description)
{
    /// <summary>Every kind.</summary>
    public static readonly IReadOnlyList<NetworkKind> All =
    [
        new(DenseDescription.KindName, DenseDescription.KindVersion, typeof(DenseDescription)),
        new(ModuleDescription.KindName, ModuleDescription.KindVersion, typeof(ModuleDescription)),
        new(ConvolutionalDescription.KindName, ConvolutionalDescription.KindVersion, typeof(ConvolutionalDescription)),
    ];

    /// <exception cref="InvalidDataException">There is no such kind or version.</exception>
    public static NetworkKind Find(string name, int version)
    {
        NetworkKind kind = All.FirstOrDefault(kind => kind.Name == name) ?? throw new InvalidDataException(
            $"The neural ODE model has a network of the kind '{name}', which this version of Microsoft.ML.NeuralOde does not know. "
            + "Update the package.");
        return version <= kind.Version ? kind : throw new InvalidDataException(
            $"The neural ODE model has a network of the kind '{name}' in version {version}, "
            + $"but this version of Microsoft.ML.NeuralOde reads versions up to {kind.Version}. Update the package.");
    }
}

/// <summary>
/// Reads the description that a kind's name announces. Files from before there were kinds name none and hold dense networks.
/// </summary>
internal sealed class NetworkDescriptionConverter : JsonConverter<NetworkDescription>
{
    public override NetworkDescription Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using var document = JsonDocument.ParseValue(ref reader);
        JsonElement network = document.RootElement;
        if (network.ValueKind != JsonValueKind.Object)
            throw new JsonException("the description of its network is none");
        string? name = DenseDescription.KindName;
        int version = 1;
        if (network.TryGetProperty(nameof(NetworkDescription.Kind), out JsonElement kind))
            name = kind.ValueKind == JsonValueKind.String
            ? kind.GetString() : throw new JsonException("the name of its network's kind is no text");
        if (network.TryGetProperty(nameof(NetworkDescription.Version), out JsonElement number)
            && (number.ValueKind != JsonValueKind.Number || !number.TryGetInt32(out version) || version < 1))
            throw new JsonException("the version of its network's kind is no positive number");
        return (NetworkDescription)network.Deserialize(NetworkKind.Find(name!, version).Description, options)!;
    }

    public override void Write(Utf8JsonWriter writer, NetworkDescription value, JsonSerializerOptions options) =>
        JsonSerializer.Serialize(writer, value, value.GetType(), options);
}
