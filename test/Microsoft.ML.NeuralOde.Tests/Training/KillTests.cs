using System.Diagnostics;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Processes that train and are killed.</summary>
public sealed class KillTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    [Trait("Category", "Slow")]
    public void A_training_that_is_killed_twenty_times_in_a_row_ends_as_one_that_is_left_alone()
    {
        const int Kills = 20;
        const string Epochs = "120";
        var random = new Random(4);
        (int code, string expected) = Finish(Directory.CreateDirectory(Path.Combine(_folder, "alone")).FullName);
        code.Should().Be(0, expected);

        string folder = Path.Combine(_folder, "killed");
        int firstEpoch = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            using Process process = Start("resume", folder, Epochs);
            // At most two epochs and a part of the next, wherever the training then is: in a batch, in validation, in writing a checkpoint.
            int lines = random.Next(1, 3);
            for (int line = 0; line < lines; line++)
            {
                string? text = process.StandardOutput.ReadLine();
                text.Should().NotBeNull().And.StartWith("epoch ");
                int epoch = int.Parse(text!.Split(' ', '/')[1], System.Globalization.CultureInfo.InvariantCulture);
                epoch.Should().BeGreaterThanOrEqualTo(firstEpoch, "at most the end of an epoch is done twice");
                firstEpoch = epoch;
            }
            Thread.Sleep(random.Next(0, 40));
            process.Kill();
            process.WaitForExit();
            File.Exists(Path.Combine(folder, "neuralode.checkpoint")).Should().BeTrue();
        }

        (code, string found) = Finish(folder);
        code.Should().Be(0, found);
        found.Should().Be(expected);

        static (int Code, string LastLine) Finish(string path)
        {
            using Process process = Start("resume", path, Epochs);
            string[] lines = process.StandardOutput.ReadToEnd()
                .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            process.WaitForExit();
            return (process.ExitCode, lines.LastOrDefault() ?? "");
        }
    }

    private static Process Start(params string[] arguments) => Programs.Start(Programs.TrainingHost, arguments);
}
