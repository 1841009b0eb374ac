using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>
/// A trainer that takes part, with its defaults; linear ones get normalised features, which the others make themselves or do not need.
/// </summary>
internal sealed record TabularTrainer(string Name, Func<MLContext, IEstimator<ITransformer>> Create);

/// <summary>Who takes part in each task.</summary>
internal static class TabularTrainers
{
    public const string Label = "Label";

    public static IReadOnlyList<TabularTrainer> For(TabularTask task) => task switch
    {
        TabularTask.Binary =>
        [
            new("NeuralOde", context => context.BinaryClassification.Trainers.NeuralOde()),
            new("LightGbm", context => context.BinaryClassification.Trainers.LightGbm()),
            new("FastTree", context => context.BinaryClassification.Trainers.FastTree()),
            new("Sdca", context => Normalized(context).Append(context.BinaryClassification.Trainers.SdcaLogisticRegression())),
            new("Lbfgs", context => Normalized(context).Append(context.BinaryClassification.Trainers.LbfgsLogisticRegression())),
        ],
        TabularTask.Multiclass =>
        [
            new("NeuralOde", context => context.MulticlassClassification.Trainers.NeuralOde()),
            new("LightGbm", context => context.MulticlassClassification.Trainers.LightGbm()),
            new("Sdca", context => Normalized(context).Append(context.MulticlassClassification.Trainers.SdcaMaximumEntropy())),
            new("Lbfgs", context => Normalized(context).Append(context.MulticlassClassification.Trainers.LbfgsMaximumEntropy())),
        ],
        _ =>
        [
            new("NeuralOde", context => context.Regression.Trainers.NeuralOde()),
            new("LightGbm", context => context.Regression.Trainers.LightGbm()),
            new("FastTree", context => context.Regression.Trainers.FastTree()),
            new("Sdca", context => Normalized(context).Append(context.Regression.Trainers.Sdca())),
        ],
    };

    /// <summary>The figures that are compared, by name.</summary>
    public static IReadOnlyDictionary<string, double> Evaluate(MLContext context, TabularTask task, IDataView scored)
    {
        switch (task)
        {
            case TabularTask.Binary:
                BinaryClassificationMetrics binary = context.BinaryClassification.EvaluateNonCalibrated(scored);
                return new Dictionary<string, double> { ["accuracy"] = binary.Accuracy, ["AUC"] = binary.AreaUnderRocCurve };
            case TabularTask.Multiclass:
                MulticlassClassificationMetrics multiclass = context.MulticlassClassification.Evaluate(scored);
                return new Dictionary<string, double> { ["accuracy"] = multiclass.MicroAccuracy, ["log-loss"] = multiclass.LogLoss };
            default:
                RegressionMetrics regression = context.Regression.Evaluate(scored);
                return new Dictionary<string, double> { ["RMSE"] = regression.RootMeanSquaredError, ["R²"] = regression.RSquared };
        }
    }

    private static Microsoft.ML.Transforms.NormalizingEstimator Normalized(MLContext context) =>
        context.Transforms.NormalizeMeanVariance("Features");
}
