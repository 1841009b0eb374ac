using System.CommandLine;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The options of the command <c>mnist</c>.</summary>
internal static class MnistCommand
{
    private static readonly MnistSettings Defaults = new();
    private static readonly string[] GradientNames = ["direct", "adjoint", "checkpointed", "reversible"];

    public static System.CommandLine.Command Create(Func<MnistSettings, Display, CancellationToken, Task> run, Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "DIR",
            "Folder with the four MNIST files (or with a subfolder 'mnist' that has them). Otherwise the folder named by NEURALODE_DATA, " +
            "otherwise the 5,000 digits that the program carries.");
        Option<bool> embedded = DigitOptions.Embedded();
        var download = new Option<bool>("--download") { Description = "Where no folder is given, fetch MNIST (11 MB, once)." };
        Option<string?> work = CommandOptions.Path("--work", "DIR",
            $"Folder that keeps PNG files, downloads and the model (default: {Defaults.WorkFolder}).");
        Option<int?> epochs = CommandOptions.Positive("--epochs",
            "Passes over the training images (default: 10, and 20 for at most 10,000 images).");
        Option<int?> batchSize =
            CommandOptions.Positive("--batch-size", "Images in a training step (default: 128, and 32 for at most 10,000 images).");
        Option<double> learningRate =
            CommandOptions.Positive("--learning-rate", Defaults.LearningRate, "Learning rate of Adam; its maximum where it changes.");
        Option<LearningRateSchedule> schedule =
            CommandOptions.Named("--schedule", Defaults.Schedule, "SCHEDULE", "How the learning rate changes");
        Option<double?> decay = CommandOptions.NotNegative(
            "--weight-decay", "How strongly weights are pulled towards zero (default: 0, and 1 for at most 10,000 images).");
        Option<OdeMethod> solver = DigitOptions.Solver(Defaults.Solver);
        Option<double> rtol = CommandOptions.Positive("--rtol", Defaults.RelativeTolerance, "Relative tolerance of an adaptive method.");
        Option<double> atol = CommandOptions.Positive("--atol", Defaults.AbsoluteTolerance, "Absolute tolerance of an adaptive method.");
        Option<GradientMethod> gradient = CommandOptions.Parsed(
            "--gradient", Defaults.Gradient, GradientNames, GradientMethod.Parse, "METHOD",
            $"How gradients come back: {string.Join(", ", GradientNames)}.");
        Option<double?> errors = CommandOptions.NotNegative(
            "--error-penalty", "Weight of the solver's error estimates in the loss, which makes steps longer (default: 0).");
        Option<double?> stiffness = CommandOptions.NotNegative(
            "--stiffness-penalty", "Weight of the solver's estimates of stiffness in the loss (default: 0).");
        Option<double?> spread = CommandOptions.NotNegative(
            "--end-time-spread", "In training each batch ends at a time drawn from 1 minus to 1 plus this, below 1 (default: 0).");
        Option<double> validation = CommandOptions.Share(
            "--validation", Defaults.ValidationFraction, "Share of the training images that each epoch is judged by instead; 0 for none.");
        Option<int> patience = CommandOptions.Positive(
            "--patience", Defaults.Patience, "Stop when the loss on those has not fallen for so many epochs.");
        Option<int> seed = CommandOptions.Seed(Defaults.Seed);
        var distributed = new Option<bool>("--distributed")
        {
            Description =
            "Learn on several processes over MPI: start the program by 'mpiexec -n NUMBER'. Each computes a part of every batch.",
        };
        Option<string?> checkpoints = CommandOptions.Path(
            "--checkpoints", "DIR", "Keep the training in this folder every minute, and go on from there after an interruption.");
        Option<int?> limit = DigitOptions.Limit();
        Option<string?> model =
            CommandOptions.Product("--model", "Where the model goes (default: mnist-model.zip in the work folder).");
        Option<string?> json = CommandOptions.Json("Write all final figures to this file.");

        var command = new System.CommandLine.Command("mnist", "Learn handwritten digits with a neural ODE in an ML.NET pipeline.")
        {
            data, embedded, download, work, epochs, batchSize, learningRate, schedule, decay, solver, rtol, atol, gradient,
            errors, stiffness, spread, validation, patience, seed,
            distributed, checkpoints, limit, model, json,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(embedded) && (result.GetValue(data) is not null || result.GetValue(download)))
                result.AddError("--embedded excludes --data and --download; one of them would be right.");
        });
        command.SetAction(async (result, cancellationToken) =>
        {
            var settings = new MnistSettings
            {
                Data = result.GetValue(data),
                Embedded = result.GetValue(embedded),
                Download = result.GetValue(download),
                WorkFolder = result.GetValue(work) ?? Defaults.WorkFolder,
                Epochs = result.GetValue(epochs),
                BatchSize = result.GetValue(batchSize),
                LearningRate = result.GetValue(learningRate),
                Schedule = result.GetValue(schedule),
                WeightDecay = result.GetValue(decay),
                Solver = result.GetRequiredValue(solver),
                RelativeTolerance = result.GetValue(rtol),
                AbsoluteTolerance = result.GetValue(atol),
                Gradient = result.GetRequiredValue(gradient),
                ErrorPenalty = result.GetValue(errors) ?? 0,
                StiffnessPenalty = result.GetValue(stiffness) ?? 0,
                EndTimeSpread = result.GetValue(spread) ?? 0,
                ValidationFraction = result.GetValue(validation),
                Patience = result.GetValue(patience),
                Seed = result.GetValue(seed),
                Distributed = result.GetValue(distributed),
                Checkpoints = result.GetValue(checkpoints),
                Limit = result.GetValue(limit),
                Model = result.GetValue(model),
                Json = result.GetValue(json),
            };
            await run(settings, display, cancellationToken).ConfigureAwait(false);
            return 0;
        });
        return command;
    }
}
