using System.Diagnostics;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Microsoft.ML.Transforms;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The command <c>mnist</c>: a neural ODE learns handwritten digits inside an ML.NET pipeline.</summary>
/// <param name="settings">What was chosen.</param>
/// <param name="display">Where it is told.</param>
/// <param name="group">The processes that learn together; null for this one alone.</param>
internal sealed class MnistStory(MnistSettings settings, Display display, TrainingGroup? group = null)
{
    private readonly MLContext _mlContext = new(settings.Seed);

    public async Task<MnistFigures> RunAsync(CancellationToken cancellationToken)
    {
        OutputFile.EnsureFolder("--work", settings.WorkFolder);
        OutputFile modelFile = OutputFile.At("--model", settings.ModelFile)!;
        OutputFile? json = OutputFile.At("--json", settings.Json);
        DigitData data = await LoadDataAsync(cancellationToken).ConfigureAwait(false);
        display.Line($"Data: {data.Origin}, {data.Train.Count:N0} for training and {data.Test.Count:N0} for testing");
        DigitFiles files = WriteImages(data, cancellationToken);
        data = data.Limit(settings.Limit);

        var epochs = new List<NeuralOdeEpochReport>();
        var clock = Stopwatch.StartNew();
        using TransformerChain<KeyToValueMappingTransformer> model = Train(files, epochs, cancellationToken);
        double fitSeconds = clock.Elapsed.TotalSeconds;
        SayWhichEpochIsKept(epochs);
        IDataView testRows = _mlContext.Data.LoadFromEnumerable(files.Test);
        MulticlassClassificationMetrics metrics = _mlContext.MulticlassClassification.Evaluate(model.Transform(testRows));
        display.Line();
        display.Line($"Test accuracy {metrics.MicroAccuracy:P2} on {files.Test.Count:N0} images (log-loss {metrics.LogLoss:F4})");
        display.Table(ResultTables.ConfusionMatrix(metrics.ConfusionMatrix));

        DigitPrediction[] predictions = [.. DigitPipeline.Predict(_mlContext, model, files.Test)];
        bool equal = SaveAndLoad(model, testRows.Schema, modelFile.FullPath, predictions, files.Test);
        display.Line();
        display.Line(ResultTables.Examples(data.Test, predictions));

        var figures = new MnistFigures
        {
            Data = data.Origin,
            TrainRows = files.Train.Count,
            TestRows = files.Test.Count,
            Solver = settings.Solver.Name,
            Gradient = settings.Gradient.Name,
            RelativeTolerance = settings.RelativeTolerance,
            AbsoluteTolerance = settings.AbsoluteTolerance,
            BatchSize = settings.BatchSizeFor(files.Train.Count),
            LearningRate = settings.LearningRate,
            LearningRateSchedule = settings.Schedule.ToString(),
            WeightDecay = settings.WeightDecayFor(files.Train.Count),
            ValidationFraction = settings.ValidationFraction,
            Seed = settings.Seed,
            TestAccuracy = metrics.MicroAccuracy,
            MacroAccuracy = metrics.MacroAccuracy,
            LogLoss = metrics.LogLoss,
            ConfusionMatrix = metrics.ConfusionMatrix.Counts,
            FitSeconds = fitSeconds,
            ScoredRowsPerSecond = MeasureScoring(model, testRows),
            ModelFile = settings.ModelFile,
            ModelBytes = new FileInfo(settings.ModelFile).Length,
            LoadedModelIsEqual = equal,
            Epochs = epochs,
            PeakMemoryBytes = Process.GetCurrentProcess().PeakWorkingSet64,
        };
        Conclude(figures, json, files);
        return figures;
    }

    /// <summary>Takes part in the training, as a process that has nothing to tell: the first one does.</summary>
    public async Task TakePartAsync(CancellationToken cancellationToken)
    {
        DigitData data = await LoadDataAsync(cancellationToken).ConfigureAwait(false);
        using TransformerChain<KeyToValueMappingTransformer> model = Train(WriteImages(data, cancellationToken), [], cancellationToken);
    }

    private async Task<DigitData> LoadDataAsync(CancellationToken cancellationToken)
    {
        MnistDownloadOptions? download = settings.Download ? new() { CacheFolder = Path.Combine(settings.WorkFolder, "mnist") } : null;
        return await DigitSource.ChooseAsync(settings.Data, settings.Embedded, download, display, cancellationToken).ConfigureAwait(false);
    }

    private DigitFiles WriteImages(DigitData data, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        DigitFiles files = display.Progress(
            "Writing PNG files", report => DigitFiles.Prepare(data, settings.Limit, settings.WorkFolder, report, cancellationToken));
        string written = files.Written == 0
            ? "written by an earlier run"
            : $"{files.Written:N0} written in {clock.Elapsed.TotalSeconds:F1} s";
        display.Line($"Images: {files.Train.Count + files.Test.Count:N0} PNG files in {files.Folder}, {written}");
        return files;
    }

    private TransformerChain<KeyToValueMappingTransformer> Train(
        DigitFiles files, List<NeuralOdeEpochReport> epochs, CancellationToken cancellationToken)
    {
        int numberOfEpochs = settings.EpochsFor(files.Train.Count);
        int batchSize = settings.BatchSizeFor(files.Train.Count);
        display.Line(
            $"Training: {numberOfEpochs} epochs in batches of {batchSize}, solver {settings.Solver.Name}, gradients {settings.Gradient.Name}");
        return display.Progress("Training", report =>
        {
            IEstimator<ITransformer> trainer =
                DigitTrainer.Create(_mlContext, settings, numberOfEpochs, batchSize, settings.WeightDecayFor(files.Train.Count), epoch =>
            {
                epochs.Add(epoch);
                display.Line(TrainingLines.Epoch(epoch));
                report((double)epoch.Epoch / epoch.NumberOfEpochs);
            }, cancellationToken, group);
            return DigitPipeline.Create(_mlContext, trainer).Fit(_mlContext.Data.LoadFromEnumerable(files.Train));
        });
    }

    private void SayWhichEpochIsKept(List<NeuralOdeEpochReport> epochs)
    {
        if (epochs.MinBy(epoch => epoch.ValidationLoss ?? double.PositiveInfinity) is not { ValidationLoss: not null } best)
            return;
        string end = epochs.Count < epochs[0].NumberOfEpochs
            ? $"Stopped early, since the validation loss has not fallen for {settings.Patience} epochs. " : "";
        display.Line($"{end}The weights are those of epoch {best.Epoch}, with the smallest validation loss.");
    }

    /// <summary>Saves the model, loads it as another program would, and compares what both say about the test images.</summary>
    private bool SaveAndLoad(
        ITransformer model, DataViewSchema inputSchema, string modelFile, DigitPrediction[] expected, IReadOnlyList<DigitRow> rows)
    {
        _mlContext.Model.SaveSealed(model, inputSchema, modelFile);

        var other = new MLContext();
        ITransformer loaded = other.Model.LoadSealed(modelFile, out _);
        try
        {
            DigitPrediction[] found = [.. DigitPipeline.Predict(other, loaded, rows)];
            int equal = expected.Zip(found, (a, b) => a.Equals(b)).Count(same => same);
            display.Line($"Model: saved to {modelFile}; loaded again, {equal:N0} of {expected.Length:N0} predictions are " +
                "equal bit by bit");
            return equal == expected.Length && found.Length == expected.Length;
        }
        finally
        {
            (loaded as IDisposable)?.Dispose();
        }
    }

    /// <summary>Rows per second of the classifier alone: pixels are decoded and in memory before.</summary>
    private double MeasureScoring(IEnumerable<ITransformer> model, IDataView testRows)
    {
        ITransformer[] steps = [.. model];
        int position = Array.FindIndex(steps, DigitTrainer.IsModel);
        IDataView rows = testRows;
        for (int i = 0; i < position; i++)
            rows = steps[i].Transform(rows);
        IDataView scored = steps[position].Transform(_mlContext.Data.Cache(rows, DigitPipeline.Features, nameof(DigitRow.Label)));

        ReadScores(scored); // Fills the cache and warms up.
        var clock = Stopwatch.StartNew();
        int count = 0;
        do
            count += ReadScores(scored);
        while (clock.Elapsed < TimeSpan.FromSeconds(0.5));
        return count / clock.Elapsed.TotalSeconds;
    }

    private static int ReadScores(IDataView scored)
    {
        DataViewSchema.Column column = scored.Schema[nameof(DigitPrediction.Score)];
        using DataViewRowCursor cursor = scored.GetRowCursor([column]);
        ValueGetter<VBuffer<float>> getScore = cursor.GetGetter<VBuffer<float>>(column);
        VBuffer<float> score = default;
        int count = 0;
        for (; cursor.MoveNext(); count++)
            getScore(ref score);
        return count;
    }

    private static string Evaluations(MnistFigures figures) => figures.NfeBackward > 0
        ? $"{figures.NfeForward:F1} forward and {figures.NfeBackward:F1} backward a batch"
        : $"{figures.NfeForward:F1} a batch, kept for the way back";

    private void Conclude(MnistFigures figures, OutputFile? json, DigitFiles files)
    {
        display.Line(
            $"Time: {figures.FitSeconds:F1} s of fitting, of them {figures.TrainSeconds:F1} s for {figures.Epochs.Count} epochs " +
            $"({figures.SecondsPerEpoch:F2} s each); {figures.ScoredRowsPerSecond:N0} rows scored a second; " +
            $"peak memory {figures.PeakMemoryBytes / (1024.0 * 1024.0):N0} MiB");
        display.Line($"Evaluations of the equation: {Evaluations(figures)}");
        if (json is not null)
        {
            json.Write(figures.ToJson() + Environment.NewLine);
            display.Line($"Figures: {json.FullPath}");
        }
        display.Line($"Images to try the model on: {Path.Combine(files.Folder, "test")}");
        if (!figures.LoadedModelIsEqual)
            throw new UserException("The model that was loaded from its file predicts something else than the one that was saved.");
    }
}
