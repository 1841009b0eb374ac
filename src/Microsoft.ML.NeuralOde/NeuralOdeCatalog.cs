using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

namespace Microsoft.ML;

/// <summary>Neural ordinary differential equations in the catalogs of <see cref="MLContext"/>.</summary>
public static class NeuralOdeCatalog
{
    /// <summary>Creates a trainer of neural ODE classifiers of several classes.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, a key.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="solver">The numerical method; null for <see cref="OdeMethod.Dopri5"/>.</param>
    /// <param name="relativeTolerance">rtol of the solver in training.</param>
    /// <param name="absoluteTolerance">atol of the solver in training.</param>
    /// <param name="gradientMethod">How gradients come back through the solver; null for <see cref="GradientMethod.Checkpointed"/>.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralOdeClassificationTrainer NeuralOde(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string featureColumnName = DefaultColumnNames.Features,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = TrainingDefaults.NumberOfEpochs,
        int batchSize = TrainingDefaults.BatchSize,
        double learningRate = TrainingDefaults.LearningRate,
        OdeMethod? solver = null,
        double relativeTolerance = TrainingDefaults.RelativeTolerance,
        double absoluteTolerance = TrainingDefaults.AbsoluteTolerance,
        GradientMethod? gradientMethod = null,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var options = new NeuralOdeClassificationTrainer.Options
        {
            LabelColumnName = labelColumnName,
            FeatureColumnName = featureColumnName,
            ExampleWeightColumnName = exampleWeightColumnName,
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

    /// <summary>Creates a trainer of neural ODE classifiers of several classes.</summary>
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

    /// <summary>Creates a trainer of neural ODE classifiers of two classes.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="bool"/>.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="solver">The numerical method; null for <see cref="OdeMethod.Dopri5"/>.</param>
    /// <param name="relativeTolerance">rtol of the solver in training.</param>
    /// <param name="absoluteTolerance">atol of the solver in training.</param>
    /// <param name="gradientMethod">How gradients come back through the solver; null for <see cref="GradientMethod.Checkpointed"/>.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralOdeBinaryClassificationTrainer NeuralOde(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string featureColumnName = DefaultColumnNames.Features,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = TrainingDefaults.NumberOfEpochs,
        int batchSize = TrainingDefaults.BatchSize,
        double learningRate = TrainingDefaults.LearningRate,
        OdeMethod? solver = null,
        double relativeTolerance = TrainingDefaults.RelativeTolerance,
        double absoluteTolerance = TrainingDefaults.AbsoluteTolerance,
        GradientMethod? gradientMethod = null,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var options = new NeuralOdeBinaryClassificationTrainer.Options
        {
            LabelColumnName = labelColumnName,
            FeatureColumnName = featureColumnName,
            ExampleWeightColumnName = exampleWeightColumnName,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = learningRate,
            RelativeTolerance = relativeTolerance,
            AbsoluteTolerance = absoluteTolerance,
            ValidationSet = validationSet,
        };
        options.Solver = solver ?? options.Solver;
        options.GradientMethod = gradientMethod ?? options.GradientMethod;
        return new NeuralOdeBinaryClassificationTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE classifiers of two classes.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralOdeBinaryClassificationTrainer NeuralOde(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, NeuralOdeBinaryClassificationTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralOdeBinaryClassificationTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE regressions.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="float"/>, or a vector of <see cref="float"/> of known size for several targets.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="solver">The numerical method; null for <see cref="OdeMethod.Dopri5"/>.</param>
    /// <param name="relativeTolerance">rtol of the solver in training.</param>
    /// <param name="absoluteTolerance">atol of the solver in training.</param>
    /// <param name="gradientMethod">How gradients come back through the solver; null for <see cref="GradientMethod.Checkpointed"/>.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralOdeRegressionTrainer NeuralOde(
        this RegressionCatalog.RegressionTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string featureColumnName = DefaultColumnNames.Features,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = TrainingDefaults.NumberOfEpochs,
        int batchSize = TrainingDefaults.BatchSize,
        double learningRate = TrainingDefaults.LearningRate,
        OdeMethod? solver = null,
        double relativeTolerance = TrainingDefaults.RelativeTolerance,
        double absoluteTolerance = TrainingDefaults.AbsoluteTolerance,
        GradientMethod? gradientMethod = null,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var options = new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = labelColumnName,
            FeatureColumnName = featureColumnName,
            ExampleWeightColumnName = exampleWeightColumnName,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = learningRate,
            RelativeTolerance = relativeTolerance,
            AbsoluteTolerance = absoluteTolerance,
            ValidationSet = validationSet,
        };
        options.Solver = solver ?? options.Solver;
        options.GradientMethod = gradientMethod ?? options.GradientMethod;
        return new NeuralOdeRegressionTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE regressions.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralOdeRegressionTrainer NeuralOde(
        this RegressionCatalog.RegressionTrainers catalog, NeuralOdeRegressionTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralOdeRegressionTrainer(CatalogUtils.GetEnvironment(catalog), options);
    }
}
