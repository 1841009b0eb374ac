using Microsoft.ML.NeuralOde.Benchmarks.Devices;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Benchmarks;

[Collection(OwnGenerator.Name)]
public class DevicesCommandTests
{
    [Theory]
    [InlineData("solve radau5, gradient")]
    [InlineData("dense dynamics, time Add, Float32")]
    [InlineData("flow, 2 conditions, 2 blocks, mixture base")]
    [InlineData("event with reset, per row")]
    [InlineData("default device")]
    [InlineData("ONNX")]
    [InlineData("anomalies, FlowMatching, with condition, weights and whole numbers, rows in memory")]
    public void What_runs_on_the_processor_holds_there(string only)
    {
        var output = new StringWriter();

        DevicesCommand.Run("cpu", only, output).Should().Be(0, output.ToString());

        output.ToString().Should().StartWith("cpu: ").And.Contain("0 failed").And.NotContain(" 0 of 0 ");
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("meta:x")]
    public void A_device_that_is_not_there_is_named(string device)
    {
        var output = new StringWriter();

        DevicesCommand.Run(device, "a jump", output).Should().Be(2);

        output.ToString().Should().Contain($"'{device}' cannot be used");
    }

    /// <summary>Every workload runs and is printed beside what was recorded of the peers, in lines of a terminal's width.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("NVIDIA H100 80GB HBM3")]
    public void Workloads_are_timed_beside_the_peers(string? card)
    {
        var output = new StringWriter();

        DeviceTimes.Run(CPU, null, quick: true, output, card);

        string[] lines = output.ToString().Split('\n', StringSplitOptions.TrimEntries);
        lines.Should().OnlyContain(line => line.Length < 80).And.ContainSingle(line => line.Contains("recorded on an H100"));
        lines.Count(line => line.StartsWith("ours", StringComparison.Ordinal)).Should().Be(7 * 3 + 3);
        foreach (string peer in new[] { "torchdiffeq", "Diffrax" })
            foreach (string line in lines.Where(line => line.StartsWith(peer + " ", StringComparison.Ordinal) && !line.EndsWith('.')))
                line.Contains("x beside", StringComparison.Ordinal).Should().Be(card is not null, line);
        foreach (string name in new[] { "seed training step, batch 16,384", "ODE-Net step, batch 512", "d = 43", "batch 10,000" })
            lines.Should().ContainSingle(line => line.Contains(name));
    }

    [Fact]
    public void A_device_that_is_not_there_is_not_timed()
    {
        var output = new StringWriter();

        DevicesCommand.Time("nonsense", null, quick: true, output).Should().Be(2);

        output.ToString().Should().Contain("'nonsense' cannot be used");
    }

    [Fact]
    public void Differences_errors_and_one_sided_refusals_are_failures()
    {
        int calls = 0;
        Failure(_ => [tensor(calls++)]).Should().Contain("result 0 has 1 at 0 instead of 0");
        Failure(_ => calls++ % 2 == 0 ? [ones(2)] : [ones(3)]).Should().Contain("[3] instead of Float32[2]");
        Failure(_ => calls++ % 2 == 0 ? [ones(1)] : throw new InvalidOperationException("not here"))
            .Should().Be("InvalidOperationException: not here");
        Failure(_ => calls++ % 2 == 0 ? throw new ArgumentException("no") : [ones(1)]).Should().Contain("the processor refuses it");
        Failure(_ => [tensor(double.NaN + calls++)]).Should().BeNull("both are NaN");
        new DeviceCheck("refused", 0, _ => throw new ArgumentException("no")).Run(CPU, out bool isRefused).Should().BeNull();
        isRefused.Should().BeTrue();

        string? Failure(Func<Device, Tensor[]> compute)
        {
            calls = 0;
            return new DeviceCheck("check", 1e-6, compute).Run(CPU, out _);
        }
    }
}
