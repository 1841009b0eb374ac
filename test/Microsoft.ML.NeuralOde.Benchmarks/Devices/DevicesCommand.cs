using System.CommandLine;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>
/// The command <c>devices</c>: everything that a device may get wrong, against the same computed on the processor; or, with
/// <c>--time</c>, how long it takes.
/// </summary>
internal static class DevicesCommand
{
    public static System.CommandLine.Command Create()
    {
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:<index>.", DefaultValueFactory = _ => "cuda" };
        var only = new Option<string?>("--only") { Description = "Only checks, or workloads, whose names contain this text." };
        var time = new Option<bool>("--time") { Description = "Instead of checking, time training steps and inference on the device." };
        var quick = new Option<bool>("--quick")
        {
            Description = "With --time, a few rows only: shows that everything runs, measures nothing.",
        };
        var command = new System.CommandLine.Command("devices",
            "Compare solves, gradients, flows, trainers and models on a device with the processor's; print what differs.")
        {
            device, only, time, quick,
        };
        command.SetAction(result => result.GetValue(time)
            ? Time(result.GetValue(device)!, result.GetValue(only), result.GetValue(quick), Console.Out)
            : Run(result.GetValue(device)!, result.GetValue(only), Console.Out));
        return command;
    }

    /// <summary>Runs the checks.</summary>
    /// <returns>0 where all held, 1 where some did not, 2 where the device is not there.</returns>
    internal static int Run(string name, string? only, TextWriter output)
    {
        if (Find(name, output) is not { } device)
            return 2;
        int held = 0, refused = 0;
        var failures = new List<string>();
        IEnumerable<DeviceCheck> checks =
            [.. SolveChecks.All(), .. ModuleChecks.All(), .. FlowChecks.All(), .. TrainerChecks.All()];
        foreach (DeviceCheck check in checks.Where(check => only is null || check.Name.Contains(only, StringComparison.OrdinalIgnoreCase)))
        {
            string? failure = check.Run(device, out bool isRefused);
            if (failure is not null)
            {
                failures.Add(check.Name);
                output.WriteLine($"FAILED {check.Name}: {failure}");
                output.Flush();
            }
            else if (isRefused)
            {
                refused++;
            }
            else
            {
                held++;
            }
        }
        output.WriteLine(
            $"{device}: {held} of {held + failures.Count} checks held, {failures.Count} failed; {refused} combinations are refused on the processor and there.");
        return failures.Count == 0 ? 0 : 1;
    }

    /// <summary>Times the workloads.</summary>
    /// <returns>0, or 2 where the device is not there.</returns>
    internal static int Time(string name, string? only, bool quick, TextWriter output)
    {
        if (Find(name, output) is not { } device)
            return 2;
        DeviceTimes.Run(device, only, quick, output, DeviceTimes.Card(device));
        return 0;
    }

    /// <summary>The device; null, and a line that says why, where it cannot be used.</summary>
    private static Device? Find(string name, TextWriter output)
    {
        try
        {
            var device = new Device(name);
            using Tensor probe = ones(1, device: device);
            return device;
        }
        catch (Exception e)
        {
            output.WriteLine($"The device '{name}' cannot be used: {FirstLine(e)}");
            return null;
        }
    }

    internal static string FirstLine(Exception exception) => $"{exception.GetType().Name}: {exception.Message.Split('\n')[0].Trim()}";
}
