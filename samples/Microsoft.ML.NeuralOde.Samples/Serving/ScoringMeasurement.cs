using System.Diagnostics;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>One measured number.</summary>
internal sealed record ScoringFigure(string Name, double Value, string Unit);

/// <summary>A digit as a vector.</summary>
internal sealed class PixelRow
{
    [VectorType(MnistDataset.ImageSize * MnistDataset.ImageSize)]
    public float[] Features { get; set; } = [];

    public string Label { get; set; } = "";

    public static PixelRow[] From(MnistImages images) => [.. Enumerable.Range(0, images.Count).Select(i => new PixelRow
    {
        Features = Array.ConvertAll(images.GetPixels(i).ToArray(), pixel => pixel / 255f),
        Label = $"{images.Labels.Span[i]}",
    })];
}

/// <summary>What the model says.</summary>
internal sealed class PixelPrediction
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}

/// <summary>Measures the ways to ask a model.</summary>
internal static class ScoringMeasurement
{
    private const int Runs = 3;
    private const int Threads = 8;

    public static ScoringFigure[] Run(int count, TimeSpan duration, string? modelFile, Display display)
    {
        var mlContext = new MLContext(seed: 1);
        DigitData digits = EmbeddedDigits.Load();
        IDataView train = mlContext.Data.LoadFromEnumerable(PixelRow.From(digits.Train));
        PixelRow[] test = PixelRow.From(digits.Test);
        PixelRow[] rows = [.. Enumerable.Range(0, count).Select(i => test[i % test.Length])];

        display.Line($"Training the reference model on {digits.Train.Count:N0} digits…");
        ITransformer model = Train(mlContext, train, OdeMethod.Dopri5, epochs: 5);
        if (modelFile is not null)
            mlContext.Model.SaveSealed(model, train.Schema, modelFile);
        ITransformer general = Train(mlContext, mlContext.Data.TakeRows(train, 500), OdeMethod.ReversibleHeun, epochs: 1);

        display.Line("Measuring…");
        double batch = Batch(mlContext, model, rows), single = Single(mlContext, model, rows), views = SingleViews(mlContext, model, rows[..Math.Min(rows.Length, 500)]);
        double generalBatch = Batch(mlContext, general, rows[..Math.Min(rows.Length, 2_000)]);
        double generalSingle = Single(mlContext, general, rows[..Math.Min(rows.Length, 300)]);
        (double shared, double p50, double p99, double growth) = Shared(mlContext, model, rows, duration);
        return
        [
            new ScoringFigure("`Transform`, batches", batch, "rows/s"),
            new ScoringFigure("`PredictionEngine`, one by one", single, "rows/s"),
            new ScoringFigure("`Transform` of one row at a time", views, "rows/s"),
            new ScoringFigure("batches over `Transform` of one row at a time", batch / views, "times"),
            new ScoringFigure("batches over `PredictionEngine`", batch / single, "times"),
            new ScoringFigure("through torch (`reversible_heun`), batches", generalBatch, "rows/s"),
            new ScoringFigure("through torch (`reversible_heun`), one by one", generalSingle, "rows/s"),
            new ScoringFigure("through torch, batches over one by one", generalBatch / generalSingle, "times"),
            new ScoringFigure($"{Threads} threads share a model", shared, "predictions/s"),
            new ScoringFigure($"{Threads} threads, median", p50, "µs"),
            new ScoringFigure($"{Threads} threads, 99th percentile", p99, "µs"),
            new ScoringFigure($"{Threads} threads, growth of resident memory", growth, "MB"),
        ];
    }

    private static TransformerChain<Transforms.KeyToValueMappingTransformer> Train(MLContext mlContext, IDataView data, OdeMethod solver, int epochs) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label", keyOrdinality: Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(numberOfEpochs: epochs, solver: solver))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
            .Fit(data);

    /// <summary>All rows through one view.</summary>
    private static double Batch(MLContext mlContext, ITransformer model, PixelRow[] rows) => Best(rows.Length, () =>
    {
        IDataView scored = model.Transform(mlContext.Data.LoadFromEnumerable(rows));
        return mlContext.Data.CreateEnumerable<PixelPrediction>(scored, reuseRowObject: true).Count();
    });

    private static double Single(MLContext mlContext, ITransformer model, PixelRow[] rows)
    {
        using PredictionEngine<PixelRow, PixelPrediction> engine = Engine(mlContext, model);
        return Best(rows.Length, () => rows.Count(row => engine.Predict(row).Score.Length > 0));
    }

    private static double SingleViews(MLContext mlContext, ITransformer model, PixelRow[] rows) => Best(rows.Length, () => rows.Sum(row =>
        mlContext.Data.CreateEnumerable<PixelPrediction>(model.Transform(mlContext.Data.LoadFromEnumerable([row])), reuseRowObject: true).Count()));

    private static (double PerSecond, double Median, double P99, double GrowthMegabytes) Shared(MLContext mlContext, ITransformer model, PixelRow[] rows, TimeSpan duration)
    {
        // One memory for the durations of all runs, and engines that live as long: what grows then is not the measurement.
        var recorders = Enumerable.Range(0, Threads).Select(_ => new Recorder(Engine(mlContext, model))).ToArray();
        RunThreads(TimeSpan.FromSeconds(1));
        double before = Environment.WorkingSet;
        RunThreads(duration);
        double growth = Math.Max(0, (Environment.WorkingSet - before) / (1 << 20));
        double[] durations = [.. recorders.SelectMany(recorder => recorder.Durations).Order()];
        double perSecond = recorders.Sum(recorder => recorder.Count) / duration.TotalSeconds;
        Array.ForEach(recorders, recorder => recorder.Engine.Dispose());
        return (perSecond, durations[durations.Length / 2], durations[(int)(durations.Length * 0.99)], growth);

        void RunThreads(TimeSpan time)
        {
            Thread[] threads = [.. recorders.Select((recorder, number) => new Thread(() => recorder.Run(rows, number, time)))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
        }
    }

    /// <summary>One thread's predictions and the durations of the last of them, in microseconds.</summary>
    private sealed class Recorder(PredictionEngine<PixelRow, PixelPrediction> engine)
    {
        private readonly double[] _durations = new double[1 << 15];

        public PredictionEngine<PixelRow, PixelPrediction> Engine => engine;

        public int Count { get; private set; }

        public IEnumerable<double> Durations => _durations.Take(Count);

        public void Run(PixelRow[] rows, int first, TimeSpan time)
        {
            Count = 0;
            long end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
            for (; Stopwatch.GetTimestamp() < end; Count++)
            {
                long started = Stopwatch.GetTimestamp();
                engine.Predict(rows[(first + Count) % rows.Length]);
                _durations[Count % _durations.Length] = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
            }
        }
    }

    private static PredictionEngine<PixelRow, PixelPrediction> Engine(MLContext mlContext, ITransformer model) =>
        mlContext.Model.CreatePredictionEngine<PixelRow, PixelPrediction>(model, new PredictionEngineOptions { OwnsTransformer = false });

    /// <summary>Rows a second in the best of some runs, after a second that does not count.</summary>
    private static double Best(int rows, Func<int> run)
    {
        long begun = Stopwatch.GetTimestamp();
        do
        {
            if (run() != rows)
                throw new InvalidOperationException("Rows were lost.");
        }
        while (Stopwatch.GetElapsedTime(begun).TotalSeconds < 1);
        return Enumerable.Range(0, Runs).Max(_ =>
        {
            long started = Stopwatch.GetTimestamp();
            run();
            return rows / Stopwatch.GetElapsedTime(started).TotalSeconds;
        });
    }
}
