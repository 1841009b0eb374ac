using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

namespace Microsoft.ML;

/// <summary>Neural ordinary differential equations in the catalogs of <see cref="MLContext"/>.</summary>
public static class NeuralOdeCatalog
{
    /// <summary>Creates a trainer of neural ODE classifiers.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, a key.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">Adam's learning rate.</param>
    /// <param name="solver">The numerical method; null for <see cref="OdeMethod.Dopri5"/>.</param>
    /// <param name="relativeTolerance">rtol of the solver.</param>
    /// <param name="absoluteTolerance">atol of the solver.</param>
    /// <param name="gradientMethod">How gradients come back through the solver; null for <see cref="GradientMethod.Checkpointed"/>.</param>
    /// <param name="validationSet">Data on which the accuracy is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralOdeClassificationTrainer NeuralOde(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string featureColumnName = DefaultColumnNames.Features,
        int numberOfEpochs = NeuralOdeClassificationTrainer.Defaults.NumberOfEpochs,
        int batchSize = NeuralOdeClassificationTrainer.Defaults.BatchSize,
        double learningRate = NeuralOdeClassificationTrainer.Defaults.LearningRate,
        OdeMethod? solver = null,
        double relativeTolerance = NeuralOdeClassificationTrainer.Defaults.RelativeTolerance,
        double absoluteTolerance = NeuralOdeClassificationTrainer.Defaults.AbsoluteTolerance,
        GradientMethod? gradientMethod = null,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var options = new NeuralOdeClassificationTrainer.Options
        {
            LabelColumnName = labelColumnName,
            FeatureColumnName = featureColumnName,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = learningRate,
            RelativeTolerance = relativeTolerance,
            AbsoluteTolerance = absoluteTolerance,
            ValidationSet = validationSet,
        };
        options.Solver = solver ?? options.Solver;
        options.GradientMethod = gradientMethod ?? options.GradientMethod;
        return new NeuralOdeClassificationTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE classifiers.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralOdeClassificationTrainer NeuralOde(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, NeuralOdeClassificationTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralOdeClassificationTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }
}
