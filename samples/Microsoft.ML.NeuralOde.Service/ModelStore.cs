using System.Diagnostics;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Models;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service;

/// <summary>Holds the model that answers, and replaces it when its file changes: at once, and only by one that works.</summary>
internal sealed partial class ModelStore : BackgroundService
{
    /// <summary>Looking at a large file must not become the service's work: it rests this many times as long as a look takes.</summary>
    private const int RestFactor = 10;

    private readonly ServiceSettings _settings;
    private readonly ServiceMetrics _metrics;
    private readonly ILogger<ModelStore> _logger;
    private readonly Lock _checking = new();
    private ServingModel _current;
    private string _seen;
    private TimeSpan _look;
    private bool _isDisposed;

    /// <exception cref="ModelFileException">The file cannot be served.</exception>
    public ModelStore(ServiceSettings settings, ServiceMetrics metrics, ILogger<ModelStore> logger)
    {
        _settings = settings;
        _metrics = metrics;
        _logger = logger;
        _current = ServingModel.Load(settings, generation: 1);
        _seen = _current.Hash;
        metrics.Observe(() => Volatile.Read(ref _current).Generation);
        Log(_current);
    }

    /// <summary>Why the file's last change was not taken; null where it was.</summary>
    public string? LastFailure { get; private set; }

    /// <summary>The model that answers now; <see cref="ServingModel.Release"/> it after use.</summary>
    public ServingModel Use()
    {
        // A model that was replaced between the two calls is gone; its successor is there.
        while (true)
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed), this);
            ServingModel model = Volatile.Read(ref _current);
            if (model.TryUse())
                return model;
        }
    }

    /// <summary>Looks at the file once.</summary>
    public void Check()
    {
        lock (_checking)
        {
            try
            {
                long started = Stopwatch.GetTimestamp();
                string hash = ModelFile.Hash(_settings.Model.File, _settings.Model.MaximumModelBytes);
                _look = Stopwatch.GetElapsedTime(started);
                if (hash == _seen)
                    return;
                _seen = hash;
                if (hash == _current.Hash)
                    LastFailure = null; // As it was before a change that was not taken.
                else
                    Replace();
            }
            catch (ModelFileException exception) when (exception is { IsUnreadable: true } && _seen == exception.Message)
            {
                // The same trouble at every look is told once.
            }
            catch (ModelFileException exception)
            {
                if (exception.IsUnreadable)
                    _seen = exception.Message;
                LastFailure = exception.Message;
                _metrics.Reloaded(succeeded: false);
                LogKept(exception.Message);
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan rest = _settings.Model.ReloadInterval;
        while (true)
        {
            await Task.Delay(rest, stoppingToken);
            Check();
            rest = _look * RestFactor > _settings.Model.ReloadInterval ? _look * RestFactor : _settings.Model.ReloadInterval;
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        // The container disposes twice: of the store, and of the hosted service that it is.
        if (!Interlocked.Exchange(ref _isDisposed, true))
            _current.Release();
    }

    private void Replace()
    {
        ServingModel next = ServingModel.Load(_settings, _current.Generation + 1);
        _seen = next.Hash;
        ServingModel previous = _current;
        if (next.Plan.Contract != previous.Plan.Contract && !_settings.Model.AllowAnotherTask)
        {
            next.Release();
            throw new ModelFileException(
                $"The model file '{_settings.Model.File}' cannot be served: it holds another model, {next.Plan.Contract}; clients expect {previous.Plan.Contract}. "
                + "Start the service anew with it, or allow such changes (Model:AllowAnotherTask).");
        }
        Volatile.Write(ref _current, next);
        previous.Release();
        LastFailure = null;
        _metrics.Reloaded(succeeded: true);
        Log(next);
    }

    private void Log(ServingModel model)
    {
        LogLoaded(_settings.Model.File, model.Generation, model.Plan.Contract);
        if (!model.IsSealed)
            LogUnsealed(_settings.Model.File);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Model {File} is loaded, generation {Generation}: {Contract}.")]
    private partial void LogLoaded(string file, int generation, string contract);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Model {File} has no seal: damage to ML.NET's own parts would not be found. SaveSealed saves one that has.")]
    private partial void LogUnsealed(string file);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The previous model stays: {Reason}")]
    private partial void LogKept(string reason);
}
