using System.CommandLine;
using System.CommandLine.Invocation;
using Microsoft.ML.NeuralOde.Samples.Anomalies;
using Microsoft.ML.NeuralOde.Samples.Augmented;
using Microsoft.ML.NeuralOde.Samples.Density;
using Microsoft.ML.NeuralOde.Samples.Digits;
using Microsoft.ML.NeuralOde.Samples.Everything;
using Microsoft.ML.NeuralOde.Samples.Fitting;
using Microsoft.ML.NeuralOde.Samples.Forecasting;
using Microsoft.ML.NeuralOde.Samples.Images;
using Microsoft.ML.NeuralOde.Samples.Latent;
using Microsoft.ML.NeuralOde.Samples.Oscillators;
using Microsoft.ML.NeuralOde.Samples.Output;
using Microsoft.ML.NeuralOde.Samples.Reporting;
using Microsoft.ML.NeuralOde.Samples.Series;
using Microsoft.ML.NeuralOde.Samples.Serving;
using Microsoft.ML.NeuralOde.Samples.Solvers;
using Microsoft.ML.NeuralOde.Samples.Tabular;
using Microsoft.ML.NeuralOde.Samples.Tutorial;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples;

/// <summary>The program: one command a story.</summary>
internal static class App
{
    private const int Failed = 1;
    private const int Cancelled = 130;

    /// <returns>The exit code: 0, 1 for an error, 130 where the user stopped the program.</returns>
    public static async Task<int> RunAsync(
        string[] args, IAnsiConsole console, TextWriter error, CancellationToken cancellationToken = default)
    {
        RootCommand root = CreateRoot(new Display(console), (line, token) => RunAsync(line, console, error, token));
        // Whoever asks for nothing is told what there is.
        ParseResult parsed = root.Parse(args.Length == 0 ? ["--help"] : args);
        if (parsed.Action is ParseErrorAction parseError)
            parseError.ShowHelp = false;
        try
        {
            var configuration = new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // Interruption listens to signals.
                Output = console.Profile.Out.Writer,
                Error = error,
            };
            return await parsed.InvokeAsync(configuration, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await error.WriteLineAsync("Stopped.").ConfigureAwait(false);
            return Cancelled;
        }
        catch (Exception e) when (IsExplained(e))
        {
            await error.WriteLineAsync($"Error: {e.Message}").ConfigureAwait(false);
            return Failed;
        }
    }

    /// <summary>All commands.</summary>
    /// <param name="display">What the user sees.</param>
    /// <param name="run">Runs a command line and gives its exit code.</param>
    internal static RootCommand CreateRoot(Display display, Func<string[], CancellationToken, Task<int>> run) =>
        new("Neural ordinary differential equations for ML.NET: samples.")
    {
        MnistCommand.Create(
            (settings, view, token) => settings.Distributed
            ? DistributedMnist.RunAsync(settings, view) : new MnistStory(settings, view).RunAsync(token), display),
        PredictCommand.Create(display),
        OdeNetCommand.Create(display),
        ResNetVsOdeCommand.Create(display),
        SolversCommand.Create(display),
        ScoringCommand.Create(display),
        LoadCommand.Create(display),
        TabularCommand.Create(display),
        QuantileCommand.Create(display),
        AnomalyCommand.Create(display),
        DensityCommand.Create(display),
        LikelihoodCommand.Create(display),
        AugmentedCommand.Create(display),
        OscillatorsCommand.Create(display),
        SeriesCommand.Create(display),
        LatentCommand.Create(display),
        ForecastCommand.Create(display),
        FitCommand.Create(display),
        ReportCommand.Create(display),
        TutorialCommand.Create(display),
        AllCommand.Create(run, display),
    };

    /// <summary>Errors whose message tells the user what to do; any other is a defect of ours, and its stack trace helps.</summary>
    private static bool IsExplained(Exception e) =>
        e is UserException or IOException or InvalidDataException or UnauthorizedAccessException or ArgumentException
            or OdeSolverException or TorchRuntimeException or MpiException or TrainingGroupException;
}
