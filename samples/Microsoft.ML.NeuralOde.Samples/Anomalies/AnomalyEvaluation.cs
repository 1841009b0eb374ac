using System.Diagnostics;
using Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>What is run on every table.</summary>
/// <param name="Epochs">Epochs of the training; null for the trainer's default.</param>
/// <param name="Seed">Seed of the training, and of the first division of the rows.</param>
/// <param name="Protocol">Which normal rows train.</param>
/// <param name="Repeats">Divisions of the rows, with seeds one after the other.</param>
/// <param name="Detectors">The names of the detectors.</param>
/// <param name="Contaminated">The share of anomalies among the training rows.</param>
/// <param name="Trimmed">The flow's share of training rows that are left out.</param>
internal sealed record AnomalySettings(
    int? Epochs, int Seed, SplitProtocol Protocol, int Repeats, string[] Detectors, double Contaminated = 0, double Trimmed = 0);

/// <summary>How well anomalies of a table were told from normal rows; means where rows were divided several times.</summary>
/// <param name="Name">The table.</param>
/// <param name="Rows">Its rows.</param>
/// <param name="Features">Its features.</param>
/// <param name="Auroc">The flow's area under the ROC curve; null without labels, or where it was not run.</param>
/// <param name="Anomalies">The scored rows that are anomalies to the flow, with the first seed.</param>
/// <param name="Seconds">The flow's time for training and scoring.</param>
/// <param name="ProcessorSeconds">The time that processors worked for it, which work of others beside it does not add to.</param>
/// <param name="Others">The areas of the other detectors that were run.</param>
/// <param name="FalseAlarms">How many normal rows the flow takes for anomalies, with the first seed.</param>
/// <param name="Contamination">The share of anomalies among the training rows, with the first seed.</param>
internal sealed record AnomalyResult(
    string Name, int Rows, int Features, double? Auroc, int Anomalies, double Seconds, double ProcessorSeconds,
    IReadOnlyDictionary<string, double> Others, IReadOnlyList<FalseAlarms> FalseAlarms, double Contamination)
{
    /// <summary>The flow's name among the detectors.</summary>
    public const string Flow = "flow";
}

/// <summary>A row, how strange it is, and whether it is an anomaly to the model.</summary>
/// <param name="Table">The table.</param>
/// <param name="Row">The row.</param>
/// <param name="Score">How strange it is.</param>
/// <param name="IsAnomaly">Whether it is an anomaly to the model.</param>
internal sealed record AnomalyFinding(AnomalyTable Table, AnomalyRow Row, float Score, bool IsAnomaly)
{
    /// <summary>The features in which it is strange, the strangest first; empty where it was not asked for.</summary>
    public IReadOnlyList<string> StrangeIn { get; init; } = [];
}

/// <summary>Runs detectors on a table.</summary>
internal static class AnomalyEvaluation
{
    // Of the features of a strange row those that contribute at least this share of the largest contribution, and so many at most.
    private const double Notable = 0.3;
    private const int MostNotable = 3;

    // Rows of a table without labels that are explained.
    private const int Explained = 10;

    /// <summary>The flow and the other detectors on every division of the rows.</summary>
    /// <param name="table">The table.</param>
    /// <param name="settings">What is run.</param>
    /// <param name="findings">Takes the rows that the flow scored with the first seed.</param>
    /// <param name="report">Takes the share that is done.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static AnomalyResult Run(
        AnomalyTable table, AnomalySettings settings, List<AnomalyFinding> findings, Action<double> report,
        CancellationToken cancellationToken)
    {
        var flows = new List<FlowRun>();
        var others = Baseline.All.Where(baseline => settings.Detectors.Contains(baseline.Name))
            .ToDictionary(baseline => baseline, _ => new List<double>());
        double contamination = 0;
        for (int i = 0; i < settings.Repeats; i++)
        {
            int seed = settings.Seed + i, repeat = i;
            AnomalySplit split = table.Split(settings.Protocol, seed).Contaminated(settings.Contaminated, seed);
            if (i == 0)
                contamination = split.Contamination;
            if (settings.Detectors.Contains(AnomalyResult.Flow))
                flows.Add(RunFlow(
                    table, split, settings, seed, done => report((repeat + done) / settings.Repeats), cancellationToken));
            foreach ((Baseline baseline, List<double> areas) in others)
            {
                cancellationToken.ThrowIfCancellationRequested();
                areas.Add(baseline.Evaluate(split));
            }
        }
        AnomalyFinding[] first = flows.Count > 0 ? flows[0].Findings : [];
        findings.AddRange(first);
        return new AnomalyResult(
            table.Name, table.RowCount, table.Columns.Count, flows.Average(flow => flow.Auroc), first.Count(finding => finding.IsAnomaly),
            flows.Select(flow => flow.Seconds).DefaultIfEmpty().Average(),
            flows.Select(flow => flow.ProcessorSeconds).DefaultIfEmpty().Average(),
            others.ToDictionary(pair => pair.Key.Name, pair => pair.Value.Average()), flows.Count > 0 ? flows[0].FalseAlarms : [],
            contamination);
    }

    private static FlowRun RunFlow(
        AnomalyTable table, AnomalySplit split, AnomalySettings settings, int seed, Action<double> report,
        CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        TimeSpan worked = Environment.CpuUsage.TotalTime;
        var mlContext = new MLContext(seed);
        var options = new ContinuousFlowAnomalyTrainer.Options
        {
            TrimmedShare = settings.Trimmed,
            CancellationToken = cancellationToken,
            EpochCallback = epoch => report((double)epoch.Epoch / epoch.NumberOfEpochs),
        };
        options.NumberOfEpochs = settings.Epochs ?? options.NumberOfEpochs;
        using ContinuousFlowAnomalyTransformer model =
            mlContext.AnomalyDetection.Trainers.ContinuousFlow(options).Fit(AnomalyTable.View(mlContext, split.Training));
        IDataView scored = model.Transform(AnomalyTable.View(mlContext, split.Test));
        AnomalyFinding[] found = [.. mlContext.Data.CreateEnumerable<AnomalyPrediction>(scored, reuseRowObject: false)
            .Select((prediction, i) => new AnomalyFinding(table, split.Test[i], prediction.Score, prediction.PredictedLabel))];
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            processorSeconds = (Environment.CpuUsage.TotalTime - worked).TotalSeconds;
        if (!table.IsLabelled)
            found = Explain(mlContext, model, found);
        double? auroc = table.IsLabelled
            ? Auroc.Of([.. found.Select(finding => (double)finding.Score)], [.. found.Select(finding => finding.Row.Label != 0)])
            : null;
        return new FlowRun(auroc, found, seconds, processorSeconds, table.IsLabelled ? FalseAlarms.Of(mlContext, model, split) : []);
    }

    /// <summary>The findings, the strangest of them with the features in which they are strange.</summary>
    private static AnomalyFinding[] Explain(MLContext mlContext, ContinuousFlowAnomalyTransformer model, AnomalyFinding[] findings)
    {
        AnomalyFinding[] sorted = [.. findings.OrderByDescending(finding => finding.Score)];
        AnomalyFinding[] strange = sorted[..Math.Min(Explained, sorted.Length)];
        using ContinuousFlowAnomalyTransformer explained =
            mlContext.AnomalyDetection.ExplainAnomalies(model, nameof(AnomalyContributions.Contributions));
        IDataView scored = explained.Transform(AnomalyTable.View(mlContext, [.. strange.Select(finding => finding.Row)]));
        IEnumerable<float[]> contributions = mlContext.Data.CreateEnumerable<AnomalyContributions>(scored, reuseRowObject: false)
            .Select(prediction => prediction.Contributions);
        return [.. strange.Zip(contributions, (finding, row) => finding with { StrangeIn = Strangest(finding.Table.Columns, row) }),
            .. sorted[strange.Length..]];
    }

    private static string[] Strangest(IReadOnlyList<string> names, float[] contributions)
    {
        float largest = contributions.Max();
        return [.. Enumerable.Range(0, contributions.Length).Where(i => contributions[i] > 0 && contributions[i] >= Notable * largest)
            .OrderByDescending(i => contributions[i]).Take(MostNotable).Select(i => names[i])];
    }

    private sealed record FlowRun(
        double? Auroc, AnomalyFinding[] Findings, double Seconds, double ProcessorSeconds, FalseAlarms[] FalseAlarms);

    private sealed class AnomalyContributions
    {
        public float[] Contributions { get; set; } = [];
    }

    private sealed class AnomalyPrediction
    {
        public float Score { get; set; }

        public bool PredictedLabel { get; set; }
    }
}
