using System.Globalization;
using System.Security.Cryptography;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.TrainingHost;

/// <summary>
/// One rank of a training under mpiexec. Arguments are name=value; rank1.name=value is for rank 1 alone. Each rank says who it is, prints a
/// hash of the weights' scores and of the losses, or what went wrong; log=PATH keeps that in a file as well, one a rank.
/// </summary>
internal sealed class RankCommand(string[] arguments)
{
    private string _prefix = "";

    public int Run()
    {
        string[] library = [.. arguments.Where(text => text.StartsWith("library=", StringComparison.Ordinal)).Select(text => text[8..])];
        try
        {
            TrainingGroup group = Mpi.Start(new MpiOptions
            {
                Library = library.FirstOrDefault(),
                Silence = TimeSpan.FromSeconds(Number("silence", 20)),
                Patience = TimeSpan.FromSeconds(Number("patience", 60)),
                Threads = 1,
            });
            _prefix = $"rank{group.Rank}.";
            Say($"of {group.Size}, process {Environment.ProcessId}");
            Train(group);
            return 0;
        }
        catch (Exception exception)
        {
            Say($"{exception.GetType().Name}: {exception.Message}");
            return exception is OperationCanceledException ? 130 : 1;
        }
    }

    private void Train(TrainingGroup group)
    {
        if (Text("leave") is not null)
            return;
        var mlContext = new MLContext(seed: 3);
        var options = new NeuralOdeRegressionTrainer.Options
        {
            Seed = Number("seed", 7),
            NumberOfEpochs = Number("epochs", 3),
            BatchSize = Number("batch", 20),
            LearningRate = 0.01,
            LearningRateSchedule = LearningRateSchedule.CosineAnnealing,
            EncoderLayers = [Number("width", 6)],
            DynamicsLayers = [Number("width", 6)],
            StepSize = 0.25,
            ValidationFraction = 0.2,
            CheckpointFolder = Text("folder"),
            CheckpointInterval = TimeSpan.Zero,
            SkipSolverCheck = true,
            Distributed = group,
            DistributedRows = Enum.Parse<DistributedRows>(Text("held") ?? nameof(DistributedRows.Same)),
            EpochCallback = report =>
            {
                Say($"{report}");
                Thread.Sleep(Number("pause", 0));
            },
        };
        IDataView data = mlContext.Data.LoadFromEnumerable(Program.Rows(Number("rows", 101), 2), Row.Schema(2));
        using NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(options).Fit(data);
        // The same rows for all, whatever each has learned from.
        IDataView judged = mlContext.Data.LoadFromEnumerable(Program.Rows(50, 2), Row.Schema(2));
        float[] scores = [.. model.Transform(judged).GetColumn<float>("Score")];
        double[] losses = [.. model.TrainingHistory.SelectMany(report => new[] { report.TrainLoss, report.ValidationLoss!.Value })];
        byte[] bytes = [.. scores.SelectMany(BitConverter.GetBytes), .. losses.SelectMany(BitConverter.GetBytes)];
        Say($"hash {Convert.ToHexString(SHA256.HashData(bytes))[..16]}");
        Say(string.Create(CultureInfo.InvariantCulture, $"loss {losses[^2]:R} score {scores[0]:R}"));
    }

    private void Say(string what)
    {
        string line = $"{_prefix.TrimEnd('.')}: {what}";
        if (Find("log") is { } log)
            File.AppendAllText($"{log}.{_prefix}txt", line + Environment.NewLine);
        // The pipe's other end may be on a host that is cut off.
        Console.WriteLine(line);
    }

    private string? Text(string name) => Find(_prefix + name) ?? Find(name);

    private string? Find(string name) =>
        Array.FindLast(arguments, text => text.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];

    private int Number(string name, int otherwise) => Text(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
