using System.Security.Cryptography;
using System.Text;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>Endpoints with this mark ask for the key, where there is one.</summary>
internal sealed class NeedsKey;

/// <summary>Compares the key of a request with the service's.</summary>
internal sealed class ApiKey
{
    public const string Header = "X-Api-Key";

    // Hashes have one length, so that a comparison takes one time whatever was sent.
    private readonly byte[]? _hash;

    public ApiKey(ApiSettings settings) => _hash = settings.Key is { } key ? Hash(key) : null;

    public bool IsNeeded => _hash is not null;

    /// <summary>Whether a request may go on.</summary>
    public bool Admits(HttpContext context) =>
        _hash is null || context.GetEndpoint()?.Metadata.GetMetadata<NeedsKey>() is null
        || (context.Request.Headers.TryGetValue(Header, out var values)
            && values is [{ } key] && CryptographicOperations.FixedTimeEquals(Hash(key), _hash));

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
