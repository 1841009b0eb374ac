using System.Diagnostics;
using System.Runtime.Versioning;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Distributed;

/// <summary>Two hosts, which are network namespaces of this one with a cable between them.</summary>
[SupportedOSPlatform("linux")]
public sealed class HostTests : IDisposable
{
    private const string First = "neuralode-a", Second = "neuralode-b", FirstAddress = "10.213.77.1", SecondAddress = "10.213.77.2",
        Cable = "cable";

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose()
    {
        foreach (string space in new[] { First, Second })
            Try("ip", "netns", "delete", space);
        Directory.Delete(_folder, recursive: true);
    }

    [NetworkFact]
    public void Where_one_host_is_cut_off_the_job_ends_on_both_with_a_message_and_goes_on_from_its_checkpoint()
    {
        Connect();
        string log = Path.Combine(_folder, "log"), checkpoints = Directory.CreateDirectory(Path.Combine(_folder, "checkpoints")).FullName;
        string[] program = [.. MpiJob.Program, "epochs=100000", "silence=5", $"folder={checkpoints}", $"log={log}"];
        using (var job = new MpiJob(
            ["-iface", Cable, "-launcher", "ssh", "-launcher-exec", WriteLauncher(), "-hosts", $"{FirstAddress},{SecondAddress}", "-n",
                "2", .. program],
            // Between namespaces of one machine shared memory would need no cable.
            start => (start.Environment["UCX_TLS"], start.Environment["UCX_NET_DEVICES"]) = ("tcp,self", Cable),
            ["ip", "netns", "exec", First]))
        {
            int other = job.ProcessOf(1);
            job.Await(line => line.Contains("epoch 2/", StringComparison.Ordinal));
            Do("ip", "netns", "exec", Second, "ip", "link", "set", Cable, "down");
            job.End(TimeSpan.FromSeconds(60));
            job.Code.Should().NotBe(0);
            job.Said(0, "TrainingGroupException: ").Should().StartWith("Nothing was heard of rank 1 for 5 seconds");
            WaitForEnd(other);
        }
        // What rank 1 says does not come through the cable; its host has it.
        File.ReadAllLines($"{log}.rank1.txt")[^1].Should()
            .StartWith("rank1: TrainingGroupException: Nothing was heard of rank 0 for 5 seconds");

        int epochs = int.Parse(File.ReadAllLines($"{log}.rank0.txt")
            .Last(line => line.Contains("epoch ", StringComparison.Ordinal)).Split(' ', '/')[2],
            System.Globalization.CultureInfo.InvariantCulture);
        using MpiJob rest = MpiJob.Run(1, $"epochs={epochs + 2}", $"folder={checkpoints}");
        rest.Code.Should().Be(0, string.Join('\n', rest.Lines));
        rest.Lines.Should().NotContain(line => line.Contains("epoch 1/", StringComparison.Ordinal), "it has gone on");
    }

    private static void Connect()
    {
        foreach (string space in new[] { First, Second })
            Try("ip", "netns", "delete", space);
        Do("ip", "netns", "add", First);
        Do("ip", "netns", "add", Second);
        Do("ip", "link", "add", Cable, "netns", First, "type", "veth", "peer", "name", Cable, "netns", Second);
        foreach ((string space, string address) in new[] { (First, FirstAddress), (Second, SecondAddress) })
        {
            Do("ip", "-n", space, "addr", "add", $"{address}/24", "dev", Cable);
            Do("ip", "-n", space, "link", "set", "lo", "up");
            Do("ip", "-n", space, "link", "set", Cable, "up");
        }
        foreach (string space in new[] { First, Second })
            SpinWait.SpinUntil(() => IsUp(space), TimeSpan.FromSeconds(30)).Should().BeTrue("the cable is plugged in");
    }

    /// <summary>In the place of ssh: runs a command on the host of an address.</summary>
    private string WriteLauncher()
    {
        string path = Path.Combine(_folder, "launch");
        File.WriteAllText(path, $"""
            #!/bin/sh
            while [ "$1" != "{FirstAddress}" ] && [ "$1" != "{SecondAddress}" ]; do shift; done
            if [ "$1" = "{FirstAddress}" ]; then host={First}; else host={Second}; fi
            shift
            exec ip netns exec $host sh -c "$*"
            """);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private static void WaitForEnd(int process)
    {
        try
        {
            using Process other = Process.GetProcessById(process);
            other.WaitForExit(TimeSpan.FromSeconds(60)).Should().BeTrue("the process on the other host ends as well");
        }
        catch (ArgumentException)
        {
            // It has ended.
        }
    }

    private static bool IsUp(string space)
    {
        using Process process =
            Process.Start(new ProcessStartInfo("ip", ["-n", space, "link", "show", Cable]) { RedirectStandardOutput = true })!;
        bool isUp = process.StandardOutput.ReadToEnd().Contains("state UP", StringComparison.Ordinal);
        process.WaitForExit();
        return isUp;
    }

    private static void Do(string program, params string[] arguments) =>
        Try(program, arguments).Should().Be("", $"{program} {string.Join(' ', arguments)}");

    private static string Try(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? "" : $"code {process.ExitCode}: {errors}";
    }

    private sealed class NetworkFactAttribute : FactAttribute
    {
        public NetworkFactAttribute() => Skip = MpiJob.Missing ?? Forbidden();

        private static string? Forbidden()
        {
            const string Probe = "neuralode-probe";
            try
            {
                string reason = Try("ip", "netns", "add", Probe);
                if (reason.Length == 0)
                    Try("ip", "netns", "delete", Probe);
                return reason.Length == 0 ? null : $"Network namespaces cannot be made here, which needs root: {reason.Trim()}";
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return "There is no command 'ip' here to make network namespaces with; 'apt-get install iproute2' brings it.";
            }
        }
    }
}
