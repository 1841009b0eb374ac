using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>The command <c>mnist --distributed</c> under mpiexec.</summary>
public sealed class DistributedMnistTests
{
    [MpiFact]
    public async Task Four_processes_learn_the_digits_as_well_as_one()
    {
        using var host = new SampleHost();
        string[] arguments = ["mnist", "--embedded", "--epochs", "3", "--limit", "1000", "--work", host.WorkFolder];
        (await host.RunAsync(arguments)).Should().Be(0, host.Error);

        using var job = new MpiJob(
            ["-n", "4", "dotnet", Path.Combine(AppContext.BaseDirectory, "Microsoft.ML.NeuralOde.Samples.dll"), .. arguments,
                "--distributed", "--checkpoints", host.PathOf("kept")]);
        job.End(TimeSpan.FromSeconds(180));
        string output = string.Join('\n', job.Lines);
        job.Code.Should().Be(0, output);
        output.Should().Contain("Processes: 4, over MPICH");
        Regex.Count(output, "Test accuracy").Should().Be(1, "one process tells the story");
        File.Exists(Path.Combine(host.PathOf("kept"), "neuralode.checkpoint")).Should().BeTrue();
        Accuracy(output).Should().BeApproximately(Accuracy(host.Output), 1.5);
    }

    [Fact]
    public async Task Without_MPI_the_command_says_what_to_install()
    {
        if (MpiJob.Missing is null)
            return;
        using var host = new SampleHost();
        (await host.RunAsync("mnist", "--embedded", "--distributed", "--work", host.WorkFolder)).Should().Be(1);
        host.Error.Should().Contain("Install MPICH");
    }

    private static double Accuracy(string output) =>
        double.Parse(Regex.Match(output, @"Test accuracy ([0-9.]+) %").Groups[1].Value, CultureInfo.InvariantCulture);
}
