using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Microsoft.ML.NeuralOde.Service;

/// <summary>Counters in Prometheus' text format.</summary>
internal sealed class ServiceMetrics
{
    private static readonly double[] Bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

    private readonly ConcurrentDictionary<(string Endpoint, int Status), long[]> _requests = new();
    private readonly long[] _buckets = new long[Bounds.Length + 1];
    private long _ticks;
    private long _rows;
    private long _reloads;
    private long _failedReloads;

    public void Answered(string endpoint, int status, long startTimestamp)
    {
        Interlocked.Increment(ref _requests.GetOrAdd((endpoint, status), _ => new long[1])[0]);
        long ticks = Stopwatch.GetTimestamp() - startTimestamp;
        Interlocked.Add(ref _ticks, ticks);
        int bucket = Array.FindIndex(Bounds, bound => ticks <= bound * Stopwatch.Frequency);
        Interlocked.Increment(ref _buckets[bucket < 0 ? Bounds.Length : bucket]);
    }

    public void Predicted(int rows) => Interlocked.Add(ref _rows, rows);

    public void Reloaded(bool succeeded) => Interlocked.Increment(ref succeeded ? ref _reloads : ref _failedReloads);

    public string Write(int generation)
    {
        var text = new StringBuilder();
        Head("neuralode_requests_total", "counter", "Requests answered.");
        foreach (((string endpoint, int status), long[] count) in _requests.OrderBy(pair => pair.Key))
            Line($"neuralode_requests_total{{endpoint=\"{endpoint}\",status=\"{status}\"}}", count[0]);
        Head("neuralode_request_seconds", "histogram", "Time from the request's first byte to its answer.");
        long total = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            total += Volatile.Read(ref _buckets[i]);
            string bound = i < Bounds.Length ? Bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            Line($"neuralode_request_seconds_bucket{{le=\"{bound}\"}}", total);
        }
        Line("neuralode_request_seconds_sum", (double)Volatile.Read(ref _ticks) / Stopwatch.Frequency);
        Line("neuralode_request_seconds_count", total);
        Single("neuralode_rows_total", "counter", "Rows predicted.", Volatile.Read(ref _rows));
        Single("neuralode_model_generation", "gauge", "How many models have answered so far.", generation);
        Single("neuralode_model_reloads_total", "counter", "Models that replaced another.", Volatile.Read(ref _reloads));
        Single("neuralode_model_reload_failures_total", "counter", "Changes of the model file that were not taken.", Volatile.Read(ref _failedReloads));
        Single("process_resident_memory_bytes", "gauge", "Resident memory.", Environment.WorkingSet);
        return text.ToString();

        void Head(string name, string type, string help) => text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");
        void Line(string name, double value) => text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
        void Single(string name, string type, string help, double value)
        {
            Head(name, type, help);
            Line(name, value);
        }
    }
}
