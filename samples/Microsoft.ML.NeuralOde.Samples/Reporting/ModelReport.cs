using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>The page of a model: what the file tells, and what rows show.</summary>
internal sealed class ModelReport
{
    private static readonly Dictionary<string, string> FlowNames = new()
    {
        ["featureCount"] = "features",
        ["conditionCount"] = "numbers of the condition",
        ["members"] = "flows side by side",
        ["blocks"] = "flows one after the other",
        ["hiddenLayers"] = "hidden layers",
        ["activation"] = "non-linearity",
        ["solver"] = "solver",
        ["relativeTolerance"] = "relative tolerance",
        ["absoluteTolerance"] = "absolute tolerance",
        ["stepSize"] = "step size",
    };

    private readonly ReportPage _page;
    private readonly SavedModel _model;

    private ModelReport(SavedModel model)
    {
        _model = model;
        _page = new ReportPage($"{Path.GetFileName(model.File)}: {Word("task") ?? model.Step.GetType().Name}");
    }

    /// <summary>Metrics of the rows by name; empty without rows.</summary>
    public OrderedDictionary<string, double> Metrics { get; } = [];

    /// <param name="mlContext">Where rows are scored.</param>
    /// <param name="model">The model.</param>
    /// <param name="data">Rows to judge it by; null for none.</param>
    /// <param name="label">The column of what is true; null for that of the training.</param>
    /// <param name="cancellationToken">Stops between two sections.</param>
    public static (ReportPage Page, OrderedDictionary<string, double> Metrics) Create(
        MLContext mlContext, SavedModel model, ReportData? data, string? label, CancellationToken cancellationToken)
    {
        var report = new ModelReport(model);
        report.Overview(data);
        report.Training();
        cancellationToken.ThrowIfCancellationRequested();
        if (data is not null)
        {
            ScoredRows rows = ScoredRows.Of(mlContext, model, data.Rows, label);
            new Judgement(report._page, report.Metrics, model, rows).Write();
            cancellationToken.ThrowIfCancellationRequested();
            new Trajectories(report._page, model, rows).Write();
        }
        report.Structure();
        report.Options();
        report.Literature();
        return (report._page, report.Metrics);
    }

    /// <summary>A number with four digits that count.</summary>
    public static string Number(double value) => value.ToString("G4", CultureInfo.InvariantCulture);

    public static string Count(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private void Overview(ReportData? data)
    {
        var rows = new List<IReadOnlyList<string>>
        {
            new[] { "file", $"{_model.File}, {Count(new FileInfo(_model.File).Length)} bytes" },
            new[] { "made by", Word("library") ?? "an earlier version" },
            new[] { "weights", Count(_model.ParameterCount) },
            new[] { "epochs of training", Count(_model.History.Count) },
        };
        if (Word("payloadSha256") is { } hash)
            rows.Add(["SHA-256 of the model", hash]);
        if (_model.Inputs is { } inputs)
            rows.Add(["columns that it was saved with",
                string.Join(", ", inputs.Where(column => !column.IsHidden).Select(column => $"{column.Name} ({column.Type})"))]);
        rows.Add(["rows that it is judged by", data?.Origin ?? "none were given (--data)"]);
        _page.Table([], rows);
    }

    private void Training()
    {
        IReadOnlyList<NeuralOdeEpochReport> history = _model.History;
        if (history.Count == 0)
            return;
        _page.Section("Training").Add(Figures.TrainingCurves(history), "The training, epoch by epoch.");
        NeuralOdeEpochReport last = history[^1], best = history.MinBy(report => report.ValidationLoss ?? double.PositiveInfinity)!;
        List<(string Name, Func<NeuralOdeEpochReport, double?> Value)> columns =
        [
            ("loss", report => report.TrainLoss), ("validation loss", report => report.ValidationLoss),
            (last.MetricName ?? "metric", report => report.TrainMetric),
            ($"validation {last.MetricName}", report => report.ValidationMetric), ("evaluations forward", report => report.NfeForward),
            ("evaluations backward", report => report.NfeBackward), ("seconds", report => report.Seconds),
        ];
        columns.RemoveAll(column => history.All(report => column.Value(report) is null or 0));
        NeuralOdeEpochReport[] shown =
            [.. new[] { history[0], best, last }.DistinctBy(report => report.Epoch).OrderBy(report => report.Epoch)];
        _page.Table(
            ["epoch", .. columns.Select(column => column.Name)],
            [.. shown.Select(report =>
                (string[])[Count(report.Epoch), .. columns.Select(column => column.Value(report) is { } value ? Number(value) : "–")])]);
        if (best.ValidationLoss is not null)
            _page.Text($"The validation loss was smallest after epoch {best.Epoch} of {history.Count}.");
    }

    private void Structure()
    {
        _page.Section("Structure");
        if (_model.Summary is { } summary)
        {
            _page.Table(["layer", "what it does", "weights"],
                [.. summary.Layers.Select(layer => (string[])[layer.Name, layer.Description, Count(layer.ParameterCount)]),
                    ["all", "", Count(summary.ParameterCount)]]);
            _page.Text(summary.ToString().ReplaceLineEndings("\n").Split('\n')[^1]);
            return;
        }
        if (_model.About.ValueKind == JsonValueKind.Object
            && _model.About.TryGetProperty("model", out JsonElement flow) && flow.ValueKind == JsonValueKind.Object)
            _page.Table([],
                [.. flow.EnumerateObject()
                    .Where(property => FlowNames.ContainsKey(property.Name) && property.Value.ValueKind != JsonValueKind.Null)
                .Select(property => (string[])[FlowNames[property.Name], $"{property.Value}"]), ["weights", Count(_model.ParameterCount)]]);
    }

    private void Options()
    {
        if (_model.About.ValueKind != JsonValueKind.Object || !_model.About.TryGetProperty("options", out JsonElement options)
            || options.ValueKind != JsonValueKind.Object || !options.EnumerateObject().Any())
            return;
        _page.Section("Options of the trainer")
            .Table(["option", "value"], [.. options.EnumerateObject().Select(option => (string[])[option.Name, $"{option.Value}"])]);
    }

    private void Literature()
    {
        if (_model.Citations.Count > 0)
            _page.Section("Publications to cite").Preformatted(string.Join("\n\n", _model.Citations.Select(citation => citation.BibTeX)));
    }

    private string? Word(string name) =>
        _model.About.ValueKind == JsonValueKind.Object && _model.About.TryGetProperty(name, out JsonElement value)
        ? value.ToString() : null;
}
