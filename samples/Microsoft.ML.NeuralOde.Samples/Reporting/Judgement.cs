using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>What rows say about a model: metrics, mistakes, calibration.</summary>
internal sealed class Judgement(ReportPage page, OrderedDictionary<string, double> metrics, SavedModel model, ScoredRows rows)
{
    /// <summary>More classes are no picture any more.</summary>
    private const int MostClasses = 30;

    /// <summary>More targets of a regression, or more points, are no picture any more.</summary>
    private const int MostTargets = 6, MostPoints = 2000;

    private const string Rows = "rows";

    private const string Truth = "Report.Truth";

    private readonly List<(Figure Figure, string Caption)> _figures = [];

    public void Write()
    {
        page.Section("Judged by rows");
        int count = rows.Count;
        if (count == 0)
            throw new UserException("--data: there is no row; at least one would be right.");
        metrics[Rows] = count;
        if (!rows.HasLabel && rows.Task is not (ModelTask.Density or ModelTask.Anomaly))
            page.Text($"The data have no column '{rows.Label}' of what is true (--label), so that there are no metrics.");
        else
            Judge();
        page.Table([],
            [.. metrics.Select(metric =>
                (string[])[metric.Key, metric.Key == Rows ? ModelReport.Count(metric.Value) : ModelReport.Number(metric.Value)])]);
        foreach ((Figure figure, string caption) in _figures)
            page.Add(figure, caption);
    }

    private void Judge()
    {
        switch (rows.Task)
        {
            case ModelTask.Multiclass: Classes(); break;
            case ModelTask.Binary: Binary(); break;
            case ModelTask.Regression: Regression(); break;
            case ModelTask.Anomaly: Anomalies(); break;
            default: Density(); break;
        }
    }

    private void Classes()
    {
        IReadOnlyList<string> names = rows.Classes;
        Dictionary<string, int> places = names.Select((name, place) => (name, place)).ToDictionary(pair => pair.name, pair => pair.place);
        int[] truth = [.. rows.Truth().Select(text => places.GetValueOrDefault(text, -1))];
        float[][] scores = rows.Vectors(rows.Score);
        int[] known = [.. Enumerable.Range(0, truth.Length).Where(row => truth[row] >= 0 && scores[row].All(float.IsFinite))];
        if (known.Length < truth.Length)
            page.Text($"{truth.Length - known.Length:N0} of {truth.Length:N0} rows have no score, or no label that the model knows, and are left out.");
        if (known.Length == 0)
            return;
        int[] predicted = [.. known.Select(row => Array.IndexOf(scores[row], scores[row].Max()))];
        bool[] right = [.. known.Zip(predicted, (row, place) => truth[row] == place)];
        var counts = names.Select(_ => new double[names.Count]).ToArray();
        for (int i = 0; i < known.Length; i++)
            counts[truth[known[i]]][predicted[i]]++;
        metrics["accuracy"] = right.Average(hit => hit ? 1.0 : 0);
        metrics["accuracy, mean over classes"] = Enumerable.Range(0, names.Count)
            .Where(i => counts[i].Sum() > 0).Average(i => counts[i][i] / counts[i].Sum());
        metrics["log-loss"] = known.Average(row => -Math.Log(Math.Max(scores[row][truth[row]], 1e-15)));
        Calibrate([.. known.Select((row, i) => Math.Clamp((double)scores[row][predicted[i]], 0, 1))], right);
        if (names.Count <= MostClasses)
            _figures.Insert(
                0, (Figures.ConfusionMatrix(counts, names), "Rows of each class (from top to bottom), and what they were taken for."));
    }

    private void Binary()
    {
        IDataView labelled = rows.Rows.Schema[rows.Label].Type is BooleanDataViewType
            ? rows.Context.Transforms.CopyColumns(Truth, rows.Label).Fit(rows.Rows).Transform(rows.Rows)
            : rows.WithLabel(Truth, DataKind.Boolean);
        bool[] truth = [.. labelled.GetColumn<bool>(Truth)];
        bool[] predicted = [.. rows.Rows.GetColumn<bool>(rows.PredictedLabel!)];
        float[] probabilities = rows.Numbers(rows.Probability!);
        int[] known = [.. Enumerable.Range(0, truth.Length).Where(row => float.IsFinite(probabilities[row]))];
        if (known.Length < truth.Length)
            page.Text($"{truth.Length - known.Length:N0} of {truth.Length:N0} rows have no score and are left out.");
        if (known.Length == 0)
            return;
        if (known.Select(row => truth[row]).Distinct().Count() == 2)
        {
            CalibratedBinaryClassificationMetrics all = rows.Context.BinaryClassification.Evaluate(
                labelled, Truth, rows.Score, rows.Probability!, rows.PredictedLabel!);
            metrics["area under the ROC curve"] = all.AreaUnderRocCurve;
            metrics["F1"] = all.F1Score;
        }
        double[][] counts = [[0, 0], [0, 0]];
        foreach (int row in known)
            counts[truth[row] ? 1 : 0][predicted[row] ? 1 : 0]++;
        metrics["accuracy"] = (counts[0][0] + counts[1][1]) / known.Length;
        metrics["log-loss"] = known.Average(row => -Math.Log(Math.Max(truth[row] ? probabilities[row] : 1 - probabilities[row], 1e-15)));
        Calibrate([.. known.Select(row => (double)probabilities[row])], [.. known.Select(row => truth[row])]);
        _figures.Insert(
            0, (Figures.ConfusionMatrix(counts, ["no", "yes"]), "Rows of each kind (from top to bottom), and what they were taken for."));
    }

    private void Calibrate(double[] probabilities, bool[] right)
    {
        var calibration = Calibration.Of(probabilities, right);
        metrics["expected calibration error"] = calibration.ExpectedError;
        metrics["Brier score of the predictions"] = calibration.BrierScore;
        _figures.Add((Figures.Reliability(calibration), "Below the dashed line the model is surer than it should be, above it less sure."));
    }

    private void Regression()
    {
        float[][] predicted = rows.Vectors(rows.Score), truth = Targets();
        int targets = predicted[0].Length;
        if (truth[0].Length != targets)
            throw new UserException($"--label: the column '{rows.Label}' has {truth[0].Length} numbers; the model predicts {targets}.");
        for (int target = 0; target < targets; target++)
        {
            (double Truth, double Predicted)[] pairs = [.. truth.Zip(predicted, (t, p) => ((double)t[target], (double)p[target])).Where(
                pair => double.IsFinite(pair.Item1) && double.IsFinite(pair.Item2))];
            if (pairs.Length == 0)
                continue;
            string name = targets == 1 ? "" : $" of target {target}";
            double mean = pairs.Average(pair => pair.Truth), squares = pairs.Sum(pair => Math.Pow(pair.Truth - pair.Predicted, 2));
            double spread = pairs.Sum(pair => Math.Pow(pair.Truth - mean, 2));
            metrics[$"root mean squared error{name}"] = Math.Sqrt(squares / pairs.Length);
            metrics[$"mean absolute error{name}"] = pairs.Average(pair => Math.Abs(pair.Truth - pair.Predicted));
            if (spread > 0)
                metrics[$"R²{name}"] = 1 - squares / spread;
            if (target < MostTargets)
                _figures.Add((Figures.PredictedAgainstTrue(
                    [.. pairs.Take(MostPoints).Select(pair => pair.Truth)], [.. pairs.Take(MostPoints).Select(pair => pair.Predicted)],
                    $"predictions{name}"),
                    "On the dashed line predictions are right."));
        }
    }

    private float[][] Targets()
    {
        IDataView labelled = rows.WithLabel(Truth, DataKind.Single);
        return labelled.Schema[Truth].Type is VectorDataViewType
            ? [.. labelled.GetColumn<float[]>(Truth)]
            : [.. labelled.GetColumn<float>(Truth).Select(number => new[] { number })];
    }

    private void Anomalies()
    {
        float threshold = ((ContinuousFlowAnomalyTransformer)model.Step).Threshold;
        float[] scores = rows.Numbers(rows.Score);
        metrics["threshold"] = threshold;
        metrics["share of the rows above the threshold"] = scores.Average(score => score > threshold ? 1.0 : 0);
        List<(string, IReadOnlyList<double>)> kinds = [];
        if (rows.HasLabel)
        {
            float[] labels = [.. rows.WithLabel(Truth, DataKind.Single).GetColumn<float>(Truth)];
            foreach ((string name, bool isAnomaly) in new[] { ("normal", false), ("anomalies", true) })
            {
                double[] some = [.. scores.Zip(labels)
                    .Where(pair => pair.Second > 0 == isAnomaly && float.IsFinite(pair.First)).Select(pair => (double)pair.First)];
                if (some.Length == 0)
                    continue;
                kinds.Add((name, some));
                metrics[$"share of {(isAnomaly ? "anomalies" : "normal rows")} above the threshold"] =
                    some.Average(score => score > threshold ? 1.0 : 0);
            }
        }
        if (kinds.Count == 0 && scores.Any(float.IsFinite))
            kinds.Add(("rows", [.. scores.Select(score => (double)score)]));
        if (kinds.Count > 0)
            _figures.Add(
                (Figures.Distributions("anomaly scores", "score", kinds, ("threshold", threshold)),
                    "Right of the threshold rows are called anomalies."));
    }

    private void Density()
    {
        double[] all = [.. rows.Numbers(rows.Score).Where(float.IsFinite).Select(number => (double)number)];
        if (all.Length == 0)
            return;
        metrics["mean log density (nats)"] = all.Average();
        _figures.Add((Figures.Distributions("log density of the rows", "log density (nats)", [("rows", all)]),
            "The further to the right, the better the density fits the rows."));
    }
}
