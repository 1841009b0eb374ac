namespace Microsoft.ML.NeuralOde.Service.Settings;

/// <summary>Who may ask: section “Api” of the configuration.</summary>
internal sealed class ApiSettings
{
    private const int ShortestKey = 16;

    /// <summary>The key that requests for predictions and metrics must bring in the header “X-Api-Key”; null for no key.</summary>
    public string? Key { get; set; }

    public void Check()
    {
        if (Key is { Length: < ShortestKey } && Key.Length > 0)
            throw new SettingsException(
                $"Api:Key has {Key.Length} characters; at least {ShortestKey} would be right, for they can be guessed.");
        if (Key is not null && string.IsNullOrWhiteSpace(Key))
            throw new SettingsException("Api:Key is empty; a key of at least 16 characters would be right, or no such setting.");
        if (Key?.Any(character => character is < '!' or > '~') == true)
            throw new SettingsException("Api:Key has characters that a header cannot carry; visible ASCII characters would be right.");
    }
}
