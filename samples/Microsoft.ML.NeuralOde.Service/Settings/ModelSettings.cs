namespace Microsoft.ML.NeuralOde.Service.Settings;

/// <summary>Which model is served and what it may be: section “Model” of the configuration.</summary>
internal sealed class ModelSettings
{
    /// <summary>The model file, saved by SaveSealed or Save.</summary>
    public string File { get; set; } = "model.zip";

    /// <summary>
    /// The only seal that is served; null for any file that is as it was saved. With it, another model needs another configuration.
    /// </summary>
    public string? Seal { get; set; }

    /// <summary>
    /// Whether files without a seal are refused. What such a file says about sizes is believed, so that it must come from a trusted source.
    /// </summary>
    public bool RequireSeal { get; set; }

    /// <summary>Most bytes of a model, unpacked.</summary>
    public long MaximumModelBytes { get; set; } = 256 << 20;

    /// <summary>Most rows of one request; the size of the model's rows may allow less.</summary>
    public int MaximumRows { get; set; } = 10_000;

    /// <summary>How often the file is looked at.</summary>
    public TimeSpan ReloadInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Whether a new file may hold a model of another task or with other inputs; clients have to know then.</summary>
    public bool AllowAnotherTask { get; set; }

    public void Check()
    {
        if (string.IsNullOrWhiteSpace(File))
            throw new SettingsException("Model:File is empty; the path of a model file would be right.");
        if (MaximumModelBytes <= 0)
            throw new SettingsException($"Model:MaximumModelBytes is {MaximumModelBytes}; a positive number would be right.");
        if (MaximumRows <= 0)
            throw new SettingsException($"Model:MaximumRows is {MaximumRows}; a positive number would be right.");
        // What a timer can wait.
        if (ReloadInterval <= TimeSpan.Zero || ReloadInterval.TotalMilliseconds >= uint.MaxValue)
            throw new SettingsException(
                $"Model:ReloadInterval is {ReloadInterval}; a positive time of at most 49 days, such as 00:00:01 for every second, would be right.");
    }
}
