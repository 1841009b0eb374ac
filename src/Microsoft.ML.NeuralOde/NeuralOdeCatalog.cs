using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
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
    /// Saves a model to a file that <see cref="LoadSealed(ModelOperationsCatalog, string, out DataViewSchema?, SealedModelOptions?)"/> can
    /// check before it trusts it.
    /// </summary>
    /// <inheritdoc cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, Stream)" path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The model: any pipeline.</param>
    /// <param name="inputSchema">The columns of its input; null to leave them out.</param>
    /// <param name="file">The file; replaced at once when the new one is complete, so that a service that reads it never sees half of
    /// it.</param>
    public static string SaveSealed(this ModelOperationsCatalog catalog, ITransformer model, DataViewSchema? inputSchema, string file)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(file);
        using var stream = new MemoryStream();
        string seal = catalog.SaveSealed(model, inputSchema, stream);
        AtomicFile.Write(file, stream.GetBuffer().AsSpan(0, (int)stream.Length));
        return seal;
    }

    /// <summary>
    /// Saves a model as <see cref="ModelOperationsCatalog.Save(ITransformer, DataViewSchema, Stream)"/> does, with a seal.
    /// </summary>
    /// <remarks>
    /// The seal is an entry “NeuralOde.sha256” with the SHA-256 of every other entry, those of ML.NET included, in the format of the
    /// program sha256sum.
    /// <see cref="ModelOperationsCatalog.Load(string, out DataViewSchema)"/> reads such files, too, without looking at the seal.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The model: any pipeline.</param>
    /// <param name="inputSchema">The columns of its input; null to leave them out.</param>
    /// <param name="stream">Receives the archive; stays open.</param>
    /// <returns>The seal's SHA-256, which stands for the whole model: the value for
    /// <see cref="SealedModelOptions.ExpectedSeal"/>.</returns>
    public static string SaveSealed(this ModelOperationsCatalog catalog, ITransformer model, DataViewSchema? inputSchema, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(stream);
        using var archive = new MemoryStream();
        catalog.Save(model, inputSchema, archive);
        return ModelSeal.Write(archive, stream);
    }

    /// <summary>
    /// Loads a model from a file of <see cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, string)"/>.
    /// </summary>
    /// <inheritdoc cref="LoadSealed(ModelOperationsCatalog, Stream, out DataViewSchema?, SealedModelOptions?)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="file">The file; it may be replaced meanwhile.</param>
    /// <param name="inputSchema">The columns of the model's input; null where they were not saved.</param>
    /// <param name="options">Limits, and the seal that is expected; null for the defaults.</param>
    public static ITransformer LoadSealed(
        this ModelOperationsCatalog catalog, string file, out DataViewSchema? inputSchema, SealedModelOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(file);
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        return SealedModel.Load(catalog, stream, $"The model file '{file}'", options, out inputSchema);
    }

    /// <summary>
    /// Loads a model that <see cref="SaveSealed(ModelOperationsCatalog, ITransformer, DataViewSchema?, Stream)"/> wrote, after checking all
    /// of it.
    /// </summary>
    /// <remarks>
    /// <para>
    /// ML.NET's reader takes whatever memory a file declares, and notices few changes. Here the archive's structure and the hash of every
    /// entry are checked first, and ML.NET is given a clean copy of what was checked: an archive that is truncated, altered, mixed from two
    /// or declares sizes that it does not have is refused. The seal in the file finds accidents, and changes by those who do not make the
    /// seal anew; against the others give <see cref="SealedModelOptions.ExpectedSeal"/>.
    /// </para>
    /// <para>The model needs the memory of its entries, unpacked, twice while it loads.</para>
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="stream">The archive, from its position 0 on; it must be seekable, and stays open.</param>
    /// <param name="inputSchema">The columns of the model's input; null where they were not saved.</param>
    /// <param name="options">Limits, and the seal that is expected; null for the defaults.</param>
    /// <returns>The model; dispose of it.</returns>
    /// <exception cref="InvalidDataException">The file is refused; the message names it, the entry, what was found and what would be
    /// right.</exception>
    /// <exception cref="TorchRuntimeException">The native library cannot be loaded.</exception>
    public static ITransformer LoadSealed(
        this ModelOperationsCatalog catalog, Stream stream, out DataViewSchema? inputSchema, SealedModelOptions? options = null) =>
        SealedModel.Load(catalog, stream, "The model archive", options, out inputSchema);

    /// <summary>A binary classifier with another threshold: true is predicted for scores above it.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The classifier. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="threshold">
    /// The score, which is the logarithm of the odds: for true from probability p on, log(p / (1 − p)). 0 is p = 0.5.
    /// </param>
    /// <returns>The classifier with the threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not finite.</exception>
    /// <example>
    /// <code>
    /// // True only where its probability is above 0.9.
    /// var careful = mlContext.BinaryClassification.ChangeModelThreshold(model, MathF.Log(0.9f / 0.1f));
    /// </code>
    /// </example>
    public static NeuralOdeBinaryClassificationTransformer ChangeModelThreshold(
        this BinaryClassificationCatalog catalog, NeuralOdeBinaryClassificationTransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return model.WithThreshold(Environments.Of(catalog), threshold);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last binary classifier of this library has another threshold.</summary>
    /// <inheritdoc cref="ChangeModelThreshold(BinaryClassificationCatalog, NeuralOdeBinaryClassificationTransformer, float)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="threshold">The score above which true is predicted.</param>
    /// <exception cref="ArgumentException">The pipeline has no binary classifier of this library.</exception>
    public static ITransformer ChangeModelThreshold(this BinaryClassificationCatalog catalog, ITransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return ModelSteps.ReplaceLast<NeuralOdeBinaryClassificationTransformer>(model, step =>
            step.WithThreshold(Environments.Of(catalog), threshold));
    }

    /// <summary>A detector of anomalies with another threshold: rows with scores above it are anomalies.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="threshold">The score.</param>
    /// <returns>The detector with the threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not finite.</exception>
    public static ContinuousFlowAnomalyTransformer ChangeModelThreshold(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return model.WithThreshold(Environments.Of(catalog), threshold);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library has another threshold.</summary>
    /// <inheritdoc cref="ChangeModelThreshold(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, float)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="threshold">The score.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library.</exception>
    public static ITransformer ChangeModelThreshold(this AnomalyDetectionCatalog catalog, ITransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckThreshold(threshold);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(
            model, step => step.WithThreshold(Environments.Of(catalog), threshold));
    }

    /// <summary>
    /// A detector of anomalies for another contamination, without a new training: so large a share of the training rows lies above the new
    /// threshold.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The detector. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="contamination">
    /// The share, between 0 and 1. The model keeps the scores of up to 4,096 training rows; of more, it keeps that many at equal distances
    /// in their order, which is what a share is exact to.
    /// </param>
    /// <returns>The detector with the new threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The contamination does not lie between 0 and 1.</exception>
    /// <exception cref="InvalidOperationException">The model was saved by an earlier version, which did not keep those scores, or was
    /// calibrated with too few rows.</exception>
    public static ContinuousFlowAnomalyTransformer ChangeModelContamination(
        this AnomalyDetectionCatalog catalog, ContinuousFlowAnomalyTransformer model, double contamination)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckContamination(contamination);
        return model.WithContamination(Environments.Of(catalog), contamination);
    }

    /// <summary>A pipeline, such as one that was loaded, whose last detector of this library has another contamination.</summary>
    /// <inheritdoc cref="ChangeModelContamination(AnomalyDetectionCatalog, ContinuousFlowAnomalyTransformer, double)"
    ///     path="/*[not(self::param)]"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The pipeline. It shares its steps with the result.</param>
    /// <param name="contamination">The share, between 0 and 1.</param>
    /// <exception cref="ArgumentException">The pipeline has no detector of this library.</exception>
    public static ITransformer ChangeModelContamination(this AnomalyDetectionCatalog catalog, ITransformer model, double contamination)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        CheckContamination(contamination);
        return ModelSteps.ReplaceLast<ContinuousFlowAnomalyTransformer>(model, step =>
            step.WithContamination(Environments.Of(catalog), contamination));
    }

    internal static void CheckThreshold(float threshold)
    {
        if (!float.IsFinite(threshold))
            throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "The threshold must be a finite number.");
    }

    private static void CheckContamination(double contamination)
    {
        if (contamination is not (> 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(contamination), contamination, "The contamination must lie between 0 and 1.");
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
