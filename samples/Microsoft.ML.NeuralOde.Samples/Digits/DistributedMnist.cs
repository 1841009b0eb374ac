using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The command <c>mnist --distributed</c>: one of the processes that mpiexec has started.</summary>
internal static class DistributedMnist
{
    public static async Task RunAsync(MnistSettings settings, Display display)
    {
        TrainingGroup group = Mpi.World;
        // SIGTERM is a matter of all processes here: the training ends with a checkpoint, and no token breaks one off in the middle of a
        // step.
        CancellationToken none = CancellationToken.None;
        try
        {
            if (group.Rank > 0)
            {
                await new MnistStory(settings, new Display(Silence()), group).TakePartAsync(none).ConfigureAwait(false);
                return;
            }
            display.Line($"Processes: {group.Size}, over {Mpi.FindLibrary()}; each learns a part of every batch");
            await new MnistStory(settings, display, group).RunAsync(none).ConfigureAwait(false);
        }
        catch (OperationCanceledException exception)
        {
            throw new UserException(exception.Message, exception);
        }
    }

    private static IAnsiConsole Silence() => AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(TextWriter.Null) });
}
