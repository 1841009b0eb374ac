using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Service.Answers;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>What a model predicts.</summary>
internal enum ModelTask
{
    Multiclass,
    Binary,
    Regression,
    Density,
    Anomaly,
}

/// <summary>Rows with what the model says of them, and what they are where that is known.</summary>
internal sealed class ScoredRows
{
    private const string Kind = "ScoreValueKind";
    private const string Text = "Report.Text";

    private readonly DataViewSchema.Column[] _added;

    private ScoredRows(MLContext mlContext, SavedModel model, IDataView rows, string? label)
    {
        Context = mlContext;
        IDataView scored = model.Step.Transform(rows);
        _added = [.. scored.Schema.Skip(rows.Schema.Count)];
        Label = label ?? model.Option("LabelColumnName") ?? "Label";
        if (label is not null && rows.Schema.GetColumnOrNull(label) is null)
            throw new UserException(
                $"--label: there is no column '{label}'; the columns are {string.Join(", ", rows.Schema.Select(column => column.Name))}.");
        HasLabel = rows.Schema.GetColumnOrNull(Label) is not null;
        // Rows are scored once, however often they are looked at.
        Rows = mlContext.Data.Cache(scored);
        Task = TaskOf(model, scored);
    }

    public MLContext Context { get; }

    public IDataView Rows { get; }

    public ModelTask Task { get; }

    /// <summary>The column of what is true.</summary>
    public string Label { get; }

    public bool HasLabel { get; }

    public string Score => Name("Score") ?? _added[0].Name;

    public string? PredictedLabel => Name("PredictedLabel");

    public string? Probability => Name("Probability");

    /// <summary>The names of classes in the order of their scores.</summary>
    public IReadOnlyList<string> Classes => Rows.Schema[PredictedLabel!] is var column && ClassNames.Of(column) is { } names
        ? names : [.. Enumerable.Range(1, ((VectorDataViewType)Rows.Schema[Score].Type).Size).Select(number => $"{number}")];

    public static ScoredRows Of(MLContext mlContext, SavedModel model, IDataView rows, string? label) => new(mlContext, model, rows, label);

    public static ModelTask TaskOf(SavedModel model, IDataView scored) => model.Step switch
    {
        ContinuousFlowAnomalyTransformer => ModelTask.Anomaly,
        ContinuousFlowDensityTransformer => ModelTask.Density,
        NeuralOdeClassificationTransformer => ModelTask.Multiclass,
        NeuralOdeBinaryClassificationTransformer => ModelTask.Binary,
        NeuralOdeRegressionTransformer => ModelTask.Regression,
        _ => scored.Schema.LastOrDefault(column => KindOf(column) == "PredictedLabel") switch
        {
            { Type: KeyDataViewType } => ModelTask.Multiclass,
            { Type: BooleanDataViewType } => ModelTask.Binary,
            _ => ModelTask.Regression,
        },
    };

    public int Count => Vectors(Score).Length;

    public float[] Numbers(string column) => [.. Rows.GetColumn<float>(column)];

    public float[][] Vectors(string column) => Rows.Schema[column].Type is VectorDataViewType
        ? [.. Rows.GetColumn<float[]>(column)]
        : [.. Rows.GetColumn<float>(column).Select(number => new[] { number })];

    /// <summary>The rows with the column of what is true as another type.</summary>
    public IDataView WithLabel(string name, DataKind kind) =>
        Context.Transforms.Conversion.ConvertType(name, Label, kind).Fit(Rows).Transform(Rows);

    /// <summary>What each row truly is, as a text; empty where that is not known.</summary>
    public string[] Truth()
    {
        IDataView rows = Rows;
        string column = Label;
        if (rows.Schema[column].Type is KeyDataViewType && ClassNames.Of(rows.Schema[column]) is not null)
        {
            rows = Context.Transforms.Conversion.MapKeyToValue(Text, column).Fit(rows).Transform(rows);
            column = Text;
        }
        if (rows.Schema[column].Type is not TextDataViewType)
        {
            rows = Context.Transforms.Conversion.ConvertType(Text, column, DataKind.String).Fit(rows).Transform(rows);
            column = Text;
        }
        return [.. rows.GetColumn<ReadOnlyMemory<char>>(column).Select(text => text.ToString())];
    }

    private string? Name(string kind)
    {
        DataViewSchema.Column found = Array.Find(_added, column => KindOf(column) == kind);
        return found.Name;
    }

    private static string? KindOf(DataViewSchema.Column column)
    {
        if (column.Annotations.Schema.GetColumnOrNull(Kind) is null)
            return null;
        ReadOnlyMemory<char> kind = default;
        column.Annotations.GetValue(Kind, ref kind);
        return kind.ToString();
    }
}
