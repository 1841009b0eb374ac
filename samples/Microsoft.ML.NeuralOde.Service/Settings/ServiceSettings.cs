namespace Microsoft.ML.NeuralOde.Service.Settings;

/// <summary>All settings, read and checked before anything starts.</summary>
internal sealed record ServiceSettings(ModelSettings Model, LimitSettings Limits, ApiSettings Api)
{
    /// <exception cref="SettingsException">A setting is unknown or makes no sense.</exception>
    public static ServiceSettings Read(IConfiguration configuration)
    {
        var settings = new ServiceSettings(
            Section<ModelSettings>(configuration, "Model"), Section<LimitSettings>(configuration, "Limits"),
            Section<ApiSettings>(configuration, "Api"));
        settings.Model.Check();
        settings.Limits.Check();
        settings.Api.Check();
        return settings;
    }

    private static T Section<T>(IConfiguration configuration, string name)
        where T : new()
    {
        try
        {
            // A setting that nobody reads is a typing error.
            return configuration.GetSection(name).Get<T>(options => options.ErrorOnUnknownConfiguration = true) ?? new T();
        }
        catch (InvalidOperationException exception)
        {
            throw new SettingsException($"Section '{name}' of the configuration: {exception.Message}", exception);
        }
    }
}
