using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers that predict a label of a vector of features have in common: the columns that they read.</summary>
/// <typeparam name="TTransformer">The fitted model.</typeparam>
/// <typeparam name="TOptions">The options.</typeparam>
public abstract class NeuralOdePredictorTrainer<TTransformer, TOptions>
    : NeuralOdeSupervisedTrainer<TTransformer, NeuralOdeModel, TOptions>, ITrainerEstimator<TTransformer, NeuralOdeModel>
    where TTransformer : NeuralOdeTransformer
    where TOptions : NeuralOdePredictorOptions
{
    private protected NeuralOdePredictorTrainer(IHostEnvironment environment, TOptions options, Func<TOptions, LabelPrediction> prediction)
        : base(environment, options, prediction)
    {
    }

    /// <summary>The feature column that is read.</summary>
    public SchemaShape.Column FeatureColumn => TrainerUtils.MakeR4VecFeature(Settings.FeatureColumnName);

    /// <summary>The label column that is read; of a regression one target, or a vector of them.</summary>
    public SchemaShape.Column LabelColumn => Prediction.LabelColumn;

    /// <summary>The column of weights that is read; null for equal weights.</summary>
    public SchemaShape.Column? WeightColumn => Schemas.WeightColumn(Settings.ExampleWeightColumnName);

    /// <inheritdoc/>
    public override TTransformer Fit(IDataView input, IDataView? validationData, NeuralOdeModel? initialModel)
    {
        using PredictorFit fit = Begin(initialModel);
        FittedNetwork<NeuralOdeNetwork> fitted = fit.Run(input, validationData);
        var description = new ModelDescription(
            fitted.Network.Description, Settings.FeatureColumnName, fitted.FeatureDimensions, Prediction.Outputs(fit.Label),
            Prediction.Classes(fit.Label), fitted.History, OptionTexts.Of(Settings));
        return Create(new NeuralOdeModel(fitted.Network, Prediction.Kind), description);
    }

    private protected abstract TTransformer Create(NeuralOdeModel model, ModelDescription description);

    private protected override SchemaShape.Column CheckSchema(SchemaShape schema)
    {
        using PredictorFit fit = Begin(null);
        return fit.CheckSchema(schema)!.Value;
    }

    private PredictorFit Begin(NeuralOdeModel? initialModel) => new(Host, Settings, Prediction, initialModel);
}
