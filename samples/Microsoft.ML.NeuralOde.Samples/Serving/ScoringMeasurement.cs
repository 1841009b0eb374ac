using System.Diagnostics;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>One measured number.</summary>
internal sealed record ScoringFigure(string Name, double Value, string Unit);

/// <summary>A row of numbers.</summary>
internal sealed class VectorRow
{
    public float[] Features { get; set; } = [];
}

/// <summary>What is read of a scored row.</summary>
internal sealed class ScoredRow
{
    public float Number { get; set; }

    public float[] Vector { get; set; } = [];
}

/// <summary>Measures the ways to ask a model: the step that scores, from vectors in memory to the first column that it adds.</summary>
internal sealed class ScoringMeasurement(int rows, TimeSpan duration, int seed, Display display, CancellationToken cancellationToken)
{
    private const int Runs = 3;
    private const int Threads = 8;

    private readonly MLContext _mlContext = new(seed);

    /// <summary>Measures a model that was saved.</summary>
    public ScoringFigure[] OfModel(string file)
    {
        ITransformer model = SavedModel.Load(_mlContext, file, out _);
        using var owner = model as IDisposable;
        ScoringStep step = ScoringStep.Find(_mlContext, model)
            ?? throw new UserException($"--model: '{file}' holds no step of this library that takes one vector of features.");
        display.Line($"Measuring the step that reads the {step.FeatureCount:N0} numbers of column '{step.FeatureColumn}'…");
        return [.. Measure(step, step.Rows(rows, seed))];
    }

    /// <summary>
    /// Trains the reference model, and one that has to be scored through torch, on the embedded digits, and measures both.
    /// </summary>
    /// <param name="save">Where the reference model goes; null for nowhere.</param>
    public ScoringFigure[] OfReference(OutputFile? save)
    {
        DigitData digits = EmbeddedDigits.Load();
        IDataView train = _mlContext.Data.LoadFromEnumerable(PixelRow.From(digits.Train));
        display.Line($"Training the reference model on {digits.Train.Count:N0} digits…");
        using var model = Train(train, OdeMethod.Dopri5, epochs: 5);
        if (save is not null)
        {
            _mlContext.Model.SaveSealed(model, train.Schema, save.FullPath);
            display.Line($"Model: {save.FullPath}");
        }
        using var general = Train(_mlContext.Data.TakeRows(train, 500), OdeMethod.ReversibleHeun, epochs: 1);

        display.Line("Measuring…");
        ScoringStep step = ScoringStep.Find(_mlContext, model)!, through = ScoringStep.Find(_mlContext, general)!;
        VectorRow[] data = step.Rows(rows, seed);
        double generalBatch = Batch(through, data[..Math.Min(rows, 2_000)]), generalSingle = Single(through, data[..Math.Min(rows, 300)]);
        return
        [
            .. Measure(step, data),
            new ScoringFigure("through torch (`reversible_heun`), batches", generalBatch, "rows/s"),
            new ScoringFigure("through torch (`reversible_heun`), one by one", generalSingle, "rows/s"),
            new ScoringFigure("through torch, batches over one by one", generalBatch / generalSingle, "times"),
        ];
    }

    private IEnumerable<ScoringFigure> Measure(ScoringStep step, VectorRow[] data)
    {
        double batch = Batch(step, data), single = Single(step, data), views = SingleViews(step, data[..Math.Min(data.Length, 500)]);
        (double shared, double p50, double p99, double growth) = Shared(step, data);
        return
        [
            new ScoringFigure("`Transform`, batches", batch, "rows/s"),
            new ScoringFigure("`PredictionEngine`, one by one", single, "rows/s"),
            new ScoringFigure("`Transform` of one row at a time", views, "rows/s"),
            new ScoringFigure("batches over `Transform` of one row at a time", batch / views, "times"),
            new ScoringFigure("batches over `PredictionEngine`", batch / single, "times"),
            new ScoringFigure($"{Threads} threads share a model", shared, "predictions/s"),
            new ScoringFigure($"{Threads} threads, median", p50, "µs"),
            new ScoringFigure($"{Threads} threads, 99th percentile", p99, "µs"),
            new ScoringFigure($"{Threads} threads, growth of resident memory", growth, "MB"),
        ];
    }

    private TransformerChain<Transforms.KeyToValueMappingTransformer> Train(IDataView data, OdeMethod solver, int epochs) =>
        _mlContext.Transforms.Conversion.MapValueToKey("Label", keyOrdinality: Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Append(_mlContext.MulticlassClassification.Trainers.NeuralOde(new NeuralOdeClassificationTrainer.Options
            {
                NumberOfEpochs = epochs,
                Solver = solver,
                CancellationToken = cancellationToken,
            }))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
            .Fit(data);

    /// <summary>All rows through one view.</summary>
    private double Batch(ScoringStep step, VectorRow[] data) => Best(data.Length, () => step.Score(data).Count());

    private double Single(ScoringStep step, VectorRow[] data)
    {
        using PredictionEngine<VectorRow, ScoredRow> engine = step.Engine();
        return Best(data.Length, () =>
        {
            foreach (VectorRow row in data)
                engine.Predict(row);
            return data.Length;
        });
    }

    private double SingleViews(ScoringStep step, VectorRow[] data) => Best(data.Length, () => data.Sum(row => step.Score([row]).Count()));

    private (double PerSecond, double Median, double P99, double GrowthMegabytes) Shared(ScoringStep step, VectorRow[] data)
    {
        // One memory for the durations of all runs, and engines that live as long: what grows then is not the measurement.
        Recorder[] recorders = [.. Enumerable.Range(0, Threads).Select(_ => new Recorder(step.Engine()))];
        RunThreads(TimeSpan.FromSeconds(1));
        double before = Environment.WorkingSet;
        RunThreads(duration);
        double growth = Math.Max(0, (Environment.WorkingSet - before) / (1 << 20));
        double[] durations = [.. recorders.SelectMany(recorder => recorder.Durations).Order()];
        double perSecond = recorders.Sum(recorder => recorder.Count) / duration.TotalSeconds;
        Array.ForEach(recorders, recorder => recorder.Engine.Dispose());
        cancellationToken.ThrowIfCancellationRequested();
        return (perSecond, durations[durations.Length / 2], durations[(int)(durations.Length * 0.99)], growth);

        void RunThreads(TimeSpan time)
        {
            Thread[] threads =
                [.. recorders.Select((recorder, number) => new Thread(() => recorder.Run(data, number, time, cancellationToken)))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
        }
    }

    /// <summary>One thread's predictions and the durations of the last of them, in microseconds.</summary>
    private sealed class Recorder(PredictionEngine<VectorRow, ScoredRow> engine)
    {
        private readonly double[] _durations = new double[1 << 15];

        public PredictionEngine<VectorRow, ScoredRow> Engine => engine;

        public int Count { get; private set; }

        public IEnumerable<double> Durations => _durations.Take(Math.Min(Count, _durations.Length));

        public void Run(VectorRow[] data, int first, TimeSpan time, CancellationToken cancellationToken)
        {
            Count = 0;
            long end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
            for (; Stopwatch.GetTimestamp() < end && !cancellationToken.IsCancellationRequested; Count++)
            {
                long started = Stopwatch.GetTimestamp();
                engine.Predict(data[(first + Count) % data.Length]);
                _durations[Count % _durations.Length] = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
            }
        }
    }

    /// <summary>Rows a second in the best of some runs, after a second that does not count.</summary>
    private double Best(int count, Func<int> run)
    {
        long begun = Stopwatch.GetTimestamp();
        do
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (run() != count)
                throw new InvalidOperationException("Rows were lost.");
        }
        while (Stopwatch.GetElapsedTime(begun).TotalSeconds < 1);
        return Enumerable.Range(0, Runs).Max(_ =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            long started = Stopwatch.GetTimestamp();
            run();
            return count / Stopwatch.GetElapsedTime(started).TotalSeconds;
        });
    }
}
