using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Series;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers that predict a label of series have in common.</summary>
/// <typeparam name="TOptions">The options.</typeparam>
public abstract class NeuralCdeTrainer<TOptions> : NeuralOdeSupervisedTrainer<NeuralCdeTransformer, NeuralCdeModel, TOptions>
    where TOptions : NeuralCdeTrainerOptions
{
    private protected NeuralCdeTrainer(IHostEnvironment environment, TOptions options, Func<TOptions, LabelPrediction> prediction)
        : base(environment, options, prediction)
    {
    }

    /// <inheritdoc/>
    public override NeuralCdeTransformer Fit(IDataView input, IDataView? validationData, NeuralCdeModel? initialModel)
    {
        using CdeFit fit = Begin(initialModel);
        FittedNetwork<CdeNetwork> fitted = fit.Run(input, validationData);
        using CdeNetwork trained = fitted.Network;
        // The fitted model is solved as the options for production say.
        CdeNetwork network = TorchSeed.Run(0, () => new CdeNetwork(trained.Description));
        network.CopyFrom(trained);
        var description = new CdeModelDescription(
            $"{Prediction.Kind}", trained.Description, fit.Input.Times?.Name, [.. fit.Input.Values.Select(column => column.Name)],
            Prediction.Outputs(fit.Label), Prediction.Classes(fit.Label), fitted.History, OptionTexts.Of(Settings));
        return new NeuralCdeTransformer(Host, new NeuralCdeModel(network, Prediction.Kind), description);
    }

    private protected override SchemaShape.Column CheckSchema(SchemaShape schema)
    {
        using CdeFit fit = Begin(null);
        return fit.CheckSchema(schema)!.Value;
    }

    private CdeFit Begin(NeuralCdeModel? initialModel) => new(Host, Settings, Prediction, initialModel);
}
