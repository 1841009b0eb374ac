using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.Runtime;

namespace Microsoft.ML;

/// <summary>Neural ordinary differential equations in the catalogs of <see cref="MLContext"/>.</summary>
public static partial class NeuralOdeCatalog
{
    /// <summary>Creates a trainer of neural ODE classifiers of several classes.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, a key.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
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
        return new NeuralOdeClassificationTrainer(Environments.Of(catalog), options);
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
        return new NeuralOdeClassificationTrainer(Environments.Of(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE classifiers of two classes.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="bool"/>.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
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
        return new NeuralOdeBinaryClassificationTrainer(Environments.Of(catalog), options);
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
        return new NeuralOdeBinaryClassificationTrainer(Environments.Of(catalog), options);
    }

    /// <summary>Creates a trainer of neural ODE regressions.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="float"/>, or a vector of <see cref="float"/> of known size for several
    /// targets.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
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
        return new NeuralOdeRegressionTrainer(Environments.Of(catalog), options);
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
        return new NeuralOdeRegressionTrainer(Environments.Of(catalog), options);
    }

    /// <summary>Creates an estimator of the density of rows.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column of log p, which will be <see cref="float"/>.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="conditionColumnName">A column of <see cref="float"/>, or of vectors of it of known size, on which the density depends;
    /// null for none.</param>
    /// <param name="numberOfEpochs">Epochs, each of <see cref="ContinuousFlowTrainerOptions.BatchesPerEpoch"/> batches.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">The highest learning rate.</param>
    /// <param name="method">How the flow is trained.</param>
    /// <param name="smoothing">Standard deviation of the noise that smooths the density, in units of the features' own.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static ContinuousFlowDensityEstimator ContinuousFlowDensity(
        this TransformsCatalog catalog,
        string outputColumnName = ContinuousFlowDensityEstimator.DefaultLogDensityColumnName,
        string featureColumnName = DefaultColumnNames.Features,
        string? conditionColumnName = null,
        int numberOfEpochs = FlowDefaults.NumberOfEpochs,
        int batchSize = FlowDefaults.BatchSize,
        double learningRate = FlowDefaults.LearningRate,
        FlowTrainingMethod method = FlowTrainingMethod.FlowMatching,
        double smoothing = FlowDefaults.Smoothing,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new ContinuousFlowDensityEstimator(Environments.Of(catalog), new ContinuousFlowDensityEstimator.Options
        {
            LogDensityColumnName = outputColumnName,
            FeatureColumnName = featureColumnName,
            ConditionColumnName = conditionColumnName,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = learningRate,
            Method = method,
            Smoothing = smoothing,
            ValidationSet = validationSet,
        });
    }

    /// <summary>Creates an estimator of the density of rows.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static ContinuousFlowDensityEstimator ContinuousFlowDensity(
        this TransformsCatalog catalog, ContinuousFlowDensityEstimator.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new ContinuousFlowDensityEstimator(Environments.Of(catalog), options);
    }

    /// <summary>Creates a trainer of anomaly detectors that learn the density of normal rows.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="featureColumnName">The feature column, a vector of <see cref="float"/> of known size.</param>
    /// <param name="conditionColumnName">A column of <see cref="float"/>, or of vectors of it of known size, on which it depends what is
    /// normal; null for none.</param>
    /// <param name="numberOfEpochs">Epochs, each of <see cref="ContinuousFlowTrainerOptions.BatchesPerEpoch"/> batches.</param>
    /// <param name="batchSize">Rows in a batch.</param>
    /// <param name="learningRate">The highest learning rate.</param>
    /// <param name="smoothing">Standard deviation of the noise that smooths the density, in units of the features' own.</param>
    /// <param name="contamination">The share of the training rows that are to be taken for anomalies.</param>
    /// <param name="ensembleSize">Flows whose scores are averaged.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static ContinuousFlowAnomalyTrainer ContinuousFlow(
        this AnomalyDetectionCatalog.AnomalyDetectionTrainers catalog,
        string featureColumnName = DefaultColumnNames.Features,
        string? conditionColumnName = null,
        int numberOfEpochs = FlowDefaults.AnomalyEpochs,
        int batchSize = FlowDefaults.BatchSize,
        double learningRate = FlowDefaults.AnomalyLearningRate,
        double smoothing = FlowDefaults.AnomalySmoothing,
        double contamination = FlowDefaults.Contamination,
        int ensembleSize = 1)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new ContinuousFlowAnomalyTrainer(Environments.Of(catalog), new ContinuousFlowAnomalyTrainer.Options
        {
            FeatureColumnName = featureColumnName,
            ConditionColumnName = conditionColumnName,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = learningRate,
            Smoothing = smoothing,
            Contamination = contamination,
            EnsembleSize = ensembleSize,
        });
    }

    /// <summary>Creates a trainer of anomaly detectors that learn the density of normal rows.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static ContinuousFlowAnomalyTrainer ContinuousFlow(
        this AnomalyDetectionCatalog.AnomalyDetectionTrainers catalog, ContinuousFlowAnomalyTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new ContinuousFlowAnomalyTrainer(Environments.Of(catalog), options);
    }

    /// <summary>
    /// Makes the right-hand side of a model known by its name, before the model is loaded: model files hold no code. See
    /// <see cref="NeuralOdeDynamics.FromModule"/>.
    /// </summary>
    /// <param name="catalog">The catalog of components of the <see cref="MLContext"/> that will load the model.</param>
    /// <param name="dynamics">The right-hand side that the model was trained with.</param>
    /// <exception cref="ArgumentException">The catalog has other dynamics of that name.</exception>
    /// <example><code>mlContext.ComponentCatalog.RegisterDynamics(NeuralOdeDynamics.FromModule("oscillator", size => new
    /// Oscillator(size)));</code></example>
    public static void RegisterDynamics(this ComponentCatalog catalog, NeuralOdeDynamics dynamics)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(dynamics);
        DynamicsCatalog.Of(catalog).Add(dynamics);
    }
}
