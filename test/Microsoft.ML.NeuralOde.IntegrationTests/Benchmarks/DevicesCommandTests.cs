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
