using System.ComponentModel;
using System.Globalization;
using Microsoft.ML.NeuralOde.Benchmarks.Workloads;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>Times workloads on a device and prints them beside what was recorded of peers, in lines of less than 80 columns.</summary>
internal static class DeviceTimes
{
    /// <param name="device">The device.</param>
    /// <param name="only">What names of workloads must contain; null for all.</param>
    /// <param name="quick">Whether to run everything with a few rows and measure nothing.</param>
    /// <param name="output">Where to print.</param>
    /// <param name="card">What the device calls itself; null where that is unknown.</param>
    public static void Run(Device device, string? only, bool quick, TextWriter output, string? card)
    {
        bool isSameCard = card?.Contains(TimedWorkload.Card, StringComparison.Ordinal) == true;
        output.WriteLine($"Median milliseconds of a step on {card ?? device.ToString()}, each waited for.");
        output.WriteLine($"Peers as recorded on an {TimedWorkload.Card}:");
        output.WriteLine($"{TimedWorkload.Peers}.");
        output.WriteLine(isSameCard
            ? "A ratio above 1x means that this library is faster." : "This is another device: no ratios.");
        using DisposeScope scope = NewDisposeScope();
        Digits digits = Digits.Random(quick ? 1200 : 60000);
        foreach (TimedWorkload workload in TimedWorkload.All(digits, device, quick)
            .Where(workload => only is null || workload.Name.Contains(only, StringComparison.OrdinalIgnoreCase)))
        {
            output.WriteLine();
            output.WriteLine(workload.Name);
            var ours = new Dictionary<string, double>();
            foreach (TimedSide side in workload.Sides)
            {
                ours[side.Name] = side.Milliseconds();
                output.WriteLine(Line("ours", side.Name, Number(ours[side.Name])));
                output.Flush();
            }
            foreach (RecordedTime time in workload.Recorded)
            {
                string range = time.Least == time.Most ? Number(time.Least) : $"{Number(time.Least)}-{Number(time.Most)}";
                double ratio = (time.Least + time.Most) / 2 / ours[time.Beside];
                output.WriteLine(Line(time.Peer, time.Name, range, isSameCard ? $"{Number(ratio)}x beside {time.Beside}" : ""));
            }
        }
    }

    /// <summary>What a card of NVIDIA's calls itself, by its driver's own program; null where that is unknown.</summary>
    public static string? Card(Device device)
    {
        if (device.type != DeviceType.CUDA)
            return null;
        try
        {
            string names = ChildProcess.Run("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"], null);
            // torch and the driver may count cards differently: where they differ it is not known which one this is.
            string[] distinct = [.. names.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Distinct()];
            return distinct.Length == 1 ? distinct[0] : null;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            return null;
        }
    }

    private static string Line(string who, string name, string figure, string remark = "") =>
        string.Create(CultureInfo.InvariantCulture, $"  {who,-12}{name,-13}{figure,12} {remark}").TrimEnd();

    private static string Number(double value) => value.ToString("G3", CultureInfo.InvariantCulture);
}
