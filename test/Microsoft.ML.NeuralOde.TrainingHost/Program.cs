using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.TrainingHost;

/// <summary>
/// Usage: <c>resume FOLDER EPOCHS</c> trains with a checkpoint after every batch and prints a line an epoch and, at the end, a hash of all
/// scores; <c>stream ROWS FEATURES BUDGET</c> trains on generated rows under a memory budget in units of 2^20 bytes and prints the peak of
/// resident memory; <c>rank …</c> is one rank of a training under mpiexec, see <see cref="RankCommand"/>.
/// </summary>
internal static class Program
{
    public static int Main(string[] arguments)
    {
        try
        {
            if (arguments[0] == "rank")
                return new RankCommand(arguments[1..]).Run();
            if (arguments[0] == "resume")
                Resume(arguments[1], Number(arguments[2]));
            else
                Stream(Number(arguments[1]), Number(arguments[2]), Number(arguments[3]));
            return 0;
        }
        catch (Exception exception)
        {
            Console.WriteLine($"{exception.GetType().Name}: {exception.Message}");
            return 1;
        }
    }

    private static void Resume(string folder, int epochs)
    {
        var mlContext = new MLContext(seed: 3);
        IDataView data = mlContext.Data.LoadFromEnumerable(Rows(150, 2), Row.Schema(2));
        var options = new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = epochs,
            BatchSize = 10,
            LearningRate = 0.01,
            LearningRateSchedule = LearningRateSchedule.CosineAnnealing,
            EncoderLayers = [6],
            DynamicsLayers = [6],
            ValidationFraction = 0.2,
            CheckpointFolder = folder,
            CheckpointInterval = TimeSpan.Zero,
            EpochCallback = report => Console.WriteLine(report),
        };
        using NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(options).Fit(data);
        float[] scores = [.. model.Transform(data).GetColumn<float>("Score")];
        double[] losses = [.. model.TrainingHistory.Select(report => report.TrainLoss)];
        byte[] bytes = [.. scores.SelectMany(BitConverter.GetBytes), .. losses.SelectMany(BitConverter.GetBytes)];
        Console.WriteLine($"hash {Convert.ToHexString(SHA256.HashData(bytes))}");
    }

    private static void Stream(int rows, int features, int budget)
    {
        var mlContext = new MLContext(seed: 3);
        IDataView data = mlContext.Data.LoadFromEnumerable(Rows(rows, features), Row.Schema(features));
        NeuralOdeRegressionTrainer trainer = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = 1,
            BatchSize = 1024,
            LearningRate = 0.01,
            LearningRateSchedule = LearningRateSchedule.Constant,
            EncoderLayers = [4],
            DynamicsLayers = [4],
            MemoryBudgetMegabytes = budget,
            EpochCallback = report => Console.WriteLine(report),
        });
        trainer.Fit(mlContext.Data.LoadFromEnumerable(Rows(3000, features), Row.Schema(features))).Dispose(); // What any training needs.
        using NeuralOdeRegressionTransformer model = trainer.Fit(data);
        RegressionMetrics metrics =
            mlContext.Regression.Evaluate(model.Transform(mlContext.Data.LoadFromEnumerable(Rows(2000, features), Row.Schema(features))));
        Console.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"peak {Process.GetCurrentProcess().PeakWorkingSet64}; R2 {metrics.RSquared:F3}"));
    }

    /// <summary>Made while they are read: no row is kept.</summary>
    public static IEnumerable<Row> Rows(int count, int features)
    {
        var random = new Random(7);
        var row = new Row { Features = new float[features] };
        for (int i = 0; i < count; i++)
        {
            for (int slot = 0; slot < features; slot++)
                row.Features[slot] = random.NextSingle() * 2 - 1;
            row.Label = row.Features[0] + row.Features[1] * row.Features[1];
            yield return row;
        }
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}

internal sealed class Row
{
    public float[] Features { get; set; } = [];

    public float Label { get; set; }

    public static SchemaDefinition Schema(int features)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
        return schema;
    }
}
