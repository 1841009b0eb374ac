namespace Microsoft.ML.NeuralOde.Service;

/// <summary>Where the service's settings stand: section “Model” of the configuration.</summary>
internal sealed class ModelSettings
{
    /// <summary>The model file, saved by SaveSealed.</summary>
    public string File { get; set; } = "model.zip";

    /// <summary>The only seal that is served; null for any file that is as it was saved. With it, another model needs another configuration.</summary>
    public string? Seal { get; set; }

    /// <summary>Most bytes of a model, unpacked.</summary>
    public long MaximumModelBytes { get; set; } = 256 << 20;

    /// <summary>How often the file is looked at.</summary>
    public TimeSpan ReloadInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Most rows of one request.</summary>
    public int MaximumRows { get; set; } = 10_000;
}

/// <summary>Holds the model that answers, and replaces it when its file changes: at once, and only by one that works.</summary>
internal sealed partial class ModelStore : BackgroundService
{
    private readonly ModelSettings _settings;
    private readonly ServiceMetrics _metrics;
    private readonly ILogger<ModelStore> _logger;
    private ServingModel _current;
    private (DateTime, long) _seen;

    /// <exception cref="ModelFileException">The file cannot be served.</exception>
    public ModelStore(ModelSettings settings, ServiceMetrics metrics, ILogger<ModelStore> logger)
    {
        _settings = settings;
        _metrics = metrics;
        _logger = logger;
        _seen = Stamp();
        _current = ServingModel.Load(settings, generation: 1);
        LogLoaded(settings.File, 1);
    }

    /// <summary>Why the file's last change was not taken; null where it was.</summary>
    public string? LastFailure { get; private set; }

    /// <summary>The model that answers now; <see cref="ServingModel.Release"/> it after use.</summary>
    public ServingModel Use()
    {
        // A model that was replaced between the two calls is gone; its successor is there.
        while (true)
        {
            ServingModel model = Volatile.Read(ref _current);
            if (model.TryUse())
                return model;
        }
    }

    /// <summary>Looks at the file once.</summary>
    public void Check()
    {
        (DateTime, long) stamp = Stamp();
        if (stamp == _seen)
            return;
        _seen = stamp;
        try
        {
            ServingModel next = ServingModel.Load(_settings, _current.Generation + 1);
            ServingModel previous = Interlocked.Exchange(ref _current, next);
            previous.Release();
            LastFailure = null;
            _metrics.Reloaded(succeeded: true);
            LogLoaded(_settings.File, next.Generation);
        }
        catch (ModelFileException exception)
        {
            LastFailure = exception.Message;
            _metrics.Reloaded(succeeded: false);
            LogKept(exception.Message);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Looking at the file's stamp works on every file system, network drives and mounted volumes included, where watchers do not.
        using var timer = new PeriodicTimer(_settings.ReloadInterval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            Check();
    }

    private (DateTime, long) Stamp()
    {
        var file = new FileInfo(_settings.File);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {File} is loaded, generation {Generation}.")]
    private partial void LogLoaded(string file, int generation);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The previous model stays: {Reason}")]
    private partial void LogKept(string reason);
}
