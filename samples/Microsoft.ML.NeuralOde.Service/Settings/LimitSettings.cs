namespace Microsoft.ML.NeuralOde.Service.Settings;

/// <summary>
/// Upper bounds of requests: section “Limits” of the configuration. What a request really may have follows from the model's inputs
/// (<see cref="Models.ModelLimits"/>) and never exceeds these.
/// </summary>
internal sealed class LimitSettings
{
    /// <summary>Most bytes of the body of a request of several rows.</summary>
    public long MaximumBodyBytes { get; set; } = 32 << 20;

    /// <summary>Most bytes of one image file.</summary>
    public int MaximumImageBytes { get; set; } = 8 << 20;

    /// <summary>Most pixels of one image; a small file may declare many.</summary>
    public int MaximumPixels { get; set; } = 16_000_000;

    /// <summary>Bytes that all requests at work may take together; null for a quarter of the memory that the process may have.</summary>
    public long? MemoryBytes { get; set; }

    /// <summary>Most requests at work at a time; null for eight a processor. Others wait.</summary>
    public int? MaximumConcurrency { get; set; }

    /// <summary>Requests that wait for their turn; more are refused with 503.</summary>
    public int QueueLength { get; set; } = 256;

    /// <summary>How long a request's body may take to come: a client that sends slowly keeps others waiting.</summary>
    public TimeSpan BodyTime { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Requests a second and client address, in bursts of up to ten seconds' worth; null for any number. More are refused with 429.
    /// </summary>
    public int? RequestsPerSecond { get; set; }

    public void Check()
    {
        Positive(MaximumBodyBytes, nameof(MaximumBodyBytes));
        Positive(MaximumImageBytes, nameof(MaximumImageBytes));
        Positive(MaximumPixels, nameof(MaximumPixels));
        Positive(MemoryBytes ?? 1, nameof(MemoryBytes));
        Positive(MaximumConcurrency ?? 1, nameof(MaximumConcurrency));
        Positive(RequestsPerSecond ?? 1, nameof(RequestsPerSecond));
        if (BodyTime <= TimeSpan.Zero || BodyTime > TimeSpan.FromDays(1))
            throw new SettingsException($"Limits:{nameof(BodyTime)} is {BodyTime}; a positive time of at most a day would be right.");
        if (QueueLength < 0)
            throw new SettingsException($"Limits:{nameof(QueueLength)} is {QueueLength}; zero or more would be right.");
    }

    private static void Positive(long value, string name)
    {
        if (value <= 0)
            throw new SettingsException($"Limits:{name} is {value}; a positive number would be right.");
    }
}
