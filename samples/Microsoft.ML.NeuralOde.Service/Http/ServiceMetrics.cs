using System.Diagnostics;
using System.Diagnostics.Metrics;
using Prometheus;

namespace Microsoft.ML.NeuralOde.Service.Http;

/// <summary>
/// What the service counts, by System.Diagnostics.Metrics; each service has a registry of its own, which Prometheus reads.
/// </summary>
internal sealed class ServiceMetrics : IDisposable
{
    public const string MeterName = "neuralode";

    private static readonly double[] Bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

    private readonly Meter _meter;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _rows;
    private readonly Counter<long> _reloads;
    private readonly Counter<long> _failedReloads;
    private readonly Histogram<double> _seconds;
    private readonly IDisposable _adapter;

    public ServiceMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(MeterName);
        Registry = Metrics.NewCustomRegistry();
        Meter own = _meter;
        _adapter = MeterAdapter.StartListening(new MeterAdapterOptions
        {
            Registry = Registry,
            MetricFactory = Metrics.WithCustomRegistry(Registry),
            InstrumentFilterPredicate = instrument => instrument.Meter == own,
            ResolveHistogramBuckets = _ => Bounds,
            // Counters of what happens seldom stay.
            MetricsExpireAfter = TimeSpan.FromDays(1),
        });
        DotNetStats.Register(Registry);
        _requests = _meter.CreateCounter<long>("requests_total", "{request}", "Requests answered.");
        _seconds = _meter.CreateHistogram<double>("request_seconds", "s", "Time from the request's first byte to its answer.");
        _rows = _meter.CreateCounter<long>("rows_total", "{row}", "Rows predicted.");
        _reloads = _meter.CreateCounter<long>("model_reloads_total", "{model}", "Models that replaced another.");
        _failedReloads =
            _meter.CreateCounter<long>("model_reload_failures_total", "{model}", "Changes of the model file that were not taken.");
        _rows.Add(0);
        _reloads.Add(0);
        _failedReloads.Add(0);
        Gauge resident = Metrics.WithCustomRegistry(Registry).CreateGauge("process_resident_memory_bytes", "Resident memory.");
        Registry.AddBeforeCollectCallback(() => resident.Set(Environment.WorkingSet));
    }

    public CollectorRegistry Registry { get; }

    /// <summary>Shows which model answers.</summary>
    public void Observe(Func<int> generation) =>
        _meter.CreateObservableGauge("model_generation", () => (long)generation(), "{model}", "How many models have answered so far.");

    /// <param name="endpoint">The route's pattern: what clients write into their requests is no label.</param>
    /// <param name="status">The answer's status.</param>
    /// <param name="startTimestamp">When the request began.</param>
    public void Answered(string endpoint, int status, long startTimestamp)
    {
        _requests.Add(1, new("endpoint", endpoint), new("status", status));
        _seconds.Record(Stopwatch.GetElapsedTime(startTimestamp).TotalSeconds);
    }

    public void Predicted(int rows) => _rows.Add(rows);

    public void Reloaded(bool succeeded) => (succeeded ? _reloads : _failedReloads).Add(1);

    public void Dispose()
    {
        _adapter.Dispose();
        _meter.Dispose();
    }
}
