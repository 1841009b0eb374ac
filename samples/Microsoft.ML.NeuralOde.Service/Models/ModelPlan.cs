using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Answers;
using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>
/// What a model reads of a request, how it is scored, and what it answers: all of it follows from the model. Steps that load images from
/// files are left out; their images come with the requests, and no request makes the service read a file.
/// </summary>
internal sealed class ModelPlan
{
    private const string ScoreValueKind = "ScoreValueKind";

    private ModelPlan(
        string task, ITransformer scorer, InputLayout layout, IReadOnlyList<AnswerField> answers, IReadOnlyList<string>? classes)
    {
        Task = task;
        Scorer = scorer;
        Layout = layout;
        Answers = answers;
        Classes = classes;
        Fields = new InputFields(layout.Inputs);
    }

    /// <summary>What the model is for, in a word.</summary>
    public string Task { get; }

    /// <summary>The model's steps, without those that load images.</summary>
    public ITransformer Scorer { get; }

    public InputLayout Layout { get; }

    public InputFields Fields { get; }

    public IReadOnlyList<AnswerField> Answers { get; }

    /// <summary>The names of classes in the order of the scores; null for none.</summary>
    public IReadOnlyList<string>? Classes { get; }

    /// <summary>The task and the inputs: what clients rely on.</summary>
    public string Contract => $"{Task} over {string.Join(", ", Layout.Inputs.Select(input => $"'{input.Name}' ({input.Type})"))}";

    /// <exception cref="ModelFileException">The model cannot be served.</exception>
    public static ModelPlan Of(ITransformer model, DataViewSchema? saved, LimitSettings limits)
    {
        ModelSteps steps = ModelSteps.Of(model, saved);
        (ITransformer step, DataViewSchema before) = steps.Predictor();
        DataViewSchema own = step.GetOutputSchema(before), final = steps.Scorer.GetOutputSchema(steps.Input);
        DataViewSchema.Column[] added = [.. own.Skip(before.Count)];
        string[]? classes = null;
        (string task, AnswerField[] answers) = step switch
        {
            NeuralOdeClassificationTransformer => ("multiclass classification", Multiclass(out classes)),
            NeuralOdeBinaryClassificationTransformer => ("binary classification",
            [
                Label("Whether the row is of the positive class."),
                new NumberField("probability", Final(Role("Probability"), typeof(float)), "The probability of the positive class, 0 to 1."),
                new NumberField("score", Final(Role("Score"), typeof(float)), "The logarithm of the odds of the positive class."),
            ]),
            NeuralOdeRegressionTransformer => Regression(),
            ContinuousFlowAnomalyTransformer anomaly => ("anomaly detection",
            [
                Label("Whether the row is an anomaly."),
                new NumberField("score", Final(Role("Score"), typeof(float)), "How strange the row is; larger is stranger."),
                new ConstantField("threshold", anomaly.Threshold, "The score above which a row is an anomaly."),
            ]),
            ContinuousFlowDensityTransformer => ("density estimation", Density()),
            _ => throw new ModelFileException($"its step {step.GetType().Name} is none that this service knows."),
        };
        return new ModelPlan(task, steps.Scorer, LayoutOf(steps, answers, final, limits), answers, classes);

        DataViewSchema.Column Role(string role) =>
            added.FirstOrDefault(column => RoleOf(column) == role) is { Name: not null } found ? found
            : throw new ModelFileException($"its {step.GetType().Name} makes no column of the kind '{role}'.");

        // Later steps may replace a column by one of its name, as MapKeyToValue does with the label.
        DataViewSchema.Column Final(DataViewSchema.Column column, Type type) => final.GetColumnOrNull(column.Name) is not { } last
            ? throw new ModelFileException($"its column '{column.Name}' is dropped by a later step, so that there would be no answer.")
            : (last.Type is VectorDataViewType vector ? vector.ItemType : last.Type).RawType == type
            && last.Type is VectorDataViewType == column.Type is VectorDataViewType ? last
            : throw new ModelFileException($"its column '{column.Name}' is made {last.Type} by a later step; it must stay {column.Type}.");

        LabelField Label(string description)
        {
            DataViewSchema.Column label = Role("PredictedLabel");
            DataViewSchema.Column last = final.GetColumnOrNull(label.Name)
                ?? throw new ModelFileException($"its column '{label.Name}' is dropped by a later step, so that there would be no answer.");
            return LabelField.Create(last, ClassNames.Of(last), description)
                ?? throw new ModelFileException(
                    $"its column '{label.Name}' is made {last.Type} by a later step, which is no type of labels.");
        }

        AnswerField[] Multiclass(out string[] names)
        {
            DataViewSchema.Column score = Role("Score");
            int count = ((VectorDataViewType)score.Type).Size;
            names = ClassNames.Of(Role("PredictedLabel"))
                ?? ClassNames.Of(score) ?? [.. Enumerable.Range(1, count).Select(number => $"{number}")];
            if (names.Length != count)
                throw new ModelFileException($"it has {count} scores and {names.Length} names of classes.");
            return [Label("The class."), new ClassesField(Final(score, typeof(float)), names)];
        }

        (string, AnswerField[]) Regression()
        {
            DataViewSchema.Column score = Final(Role("Score"), typeof(float));
            return score.Type is VectorDataViewType { Size: var count }
                ? ($"regression of {count} targets",
                    [new NumbersField("scores", score, "The predicted values, in the order of the label's.")])
                : ("regression", [new NumberField("score", score, "The predicted value.")]);
        }

        AnswerField[] Density()
        {
            var fields = new List<AnswerField>();
            foreach (DataViewSchema.Column column in added)
                fields.Add(column.Type is VectorDataViewType
                    ? new NumbersField("latent", Final(column, typeof(float)), "The row's place in the base distribution.")
                    : fields.Count == 0
                    ? new NumberField("logDensity", Final(column, typeof(float)), "The logarithm of the density, in nats.")
                    : new NumberField("bitsPerDimension", Final(column, typeof(float)), "−log₂ of the density, a feature."));
            return [.. fields];
        }
    }

    private static string? RoleOf(DataViewSchema.Column column)
    {
        if (column.Annotations.Schema.GetColumnOrNull(ScoreValueKind) is null)
            return null;
        ReadOnlyMemory<char> kind = default;
        column.Annotations.GetValue(ScoreValueKind, ref kind);
        return kind.ToString();
    }

    /// <summary>The columns that the answers need.</summary>
    private static InputLayout LayoutOf(ModelSteps steps, AnswerField[] answers, DataViewSchema final, LimitSettings limits)
    {
        if (steps.Scorer.IsRowToRowMapper is false)
            throw new ModelFileException("it has a step that does not work row by row, so that a row may have no answer.");
        IRowToRowMapper mapper = steps.Scorer.GetRowToRowMapper(steps.Input);
        IEnumerable<DataViewSchema.Column> needed =
            mapper.GetDependencies(answers.SelectMany(answer => answer.Columns).Select(column => mapper.OutputSchema[column.Index]));
        return new InputLayout(steps.Input, [.. needed.DistinctBy(column => column.Index).OrderBy(column => column.Index).Select(column =>
            InputColumn.Create(column, limits)
            ?? throw new ModelFileException($"it reads the column '{column.Name}' of type {column.Type}, which a request cannot carry."))]);
    }
}
