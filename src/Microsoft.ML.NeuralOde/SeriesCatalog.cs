using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML;

/// <summary>Series of observations in the catalogs of <see cref="MLContext"/>.</summary>
public static class SeriesCatalog
{
    /// <summary>
    /// Opens a file of the format .ts, in which the archives of time series classification and regression are distributed (UCR, UEA and
    /// TSER; A. Bagnall et al., 2018; C. W. Tan et al., 2021).
    /// </summary>
    /// <remarks>
    /// <para>Columns: <c>Times</c>, a vector of Double of variable length, where the file says <c>@timeStamps true</c> (dates become
    /// seconds since the beginning of 1970); <c>Values</c>, a vector of Single of variable length with a time's channels after those of the
    /// time before, whose annotation <c>ChannelCount</c> is their number; <c>Label</c>, a key with the classes of <c>@classLabel</c> in
    /// their order, or Single for <c>@targetLabel</c>. “?” is missing: NaN among the values, key 0 or NaN as label. Channels of unequal
    /// lengths or times are put together at the times of all of them, with NaN for what is missing.</para>
    /// <para>The file is read anew by each cursor, a line at a time.</para>
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="path">The file.</param>
    /// <returns>The series, one a row.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not of this format, or, when its rows are read, a line is wrong; the message
    /// names file and line.</exception>
    public static IDataView LoadFromTsFile(this DataOperationsCatalog catalog, string path)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return TsFile.Open(path);
    }

    /// <summary>
    /// Opens a file of the format .tsf, in which the archive of series for forecasting is distributed (R. Godahewa et al., Monash Time
    /// Series Forecasting Archive, 2021).
    /// </summary>
    /// <remarks>
    /// <para>Columns: one for each <c>@attribute</c>, a text, Single or DateTime; and <c>Values</c>, a vector of Single of variable length,
    /// NaN where the file says “?”, with the annotations <c>ChannelCount</c>, which is 1, and, where the file has them, <c>Frequency</c>
    /// and
    /// <c>Horizon</c>.</para>
    /// <para>The file is read anew by each cursor, a line at a time.</para>
    /// </remarks>
    /// <inheritdoc cref="LoadFromTsFile"/>
    public static IDataView LoadFromTsfFile(this DataOperationsCatalog catalog, string path)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return TsfFile.Open(path);
    }

    /// <summary>Groups the rows of a table, an observation each, into series, a row each.</summary>
    /// <remarks>
    /// Columns of the result: the id, the carried columns, <c>Times</c> (a vector of Double of variable length; dates become seconds since
    /// the beginning of 1970, durations seconds) and <c>Values</c> (a vector of Single of variable length with a time's channels after
    /// those of the time before; annotation <c>ChannelCount</c>). The rows of a series may stand anywhere, but in the order of their times;
    /// when the result is read, a time that is missing, comes twice or is smaller than the one before is an
    /// <see cref="InvalidOperationException"/> that names the row.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="idColumnName">The column that tells to which series a row belongs: a text, a number, a key.</param>
    /// <param name="timeColumnName">The column of times: a number, a DateTime, a DateTimeOffset or a TimeSpan.</param>
    /// <param name="channelColumnNames">The columns of what was observed, numbers; NaN is missing.</param>
    /// <param name="carriedColumnNames">Columns that are the same in all rows of a series, such as a label or a weight; null for
    /// none.</param>
    /// <param name="timesColumnName">The column of times that is made.</param>
    /// <param name="valuesColumnName">The column of values that is made.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentException">There is no channel, a name is missing, or two columns would have the same name.</exception>
    /// <example>
    /// <code>
    /// IDataView series = mlContext.Transforms.GroupIntoSeries("Patient", "Hour", ["HeartRate", "Temperature"], ["Label"])
    ///     .Fit(table).Transform(table);
    /// </code>
    /// </example>
    public static SeriesGroupingEstimator GroupIntoSeries(
        this TransformsCatalog catalog, string idColumnName, string timeColumnName, string[] channelColumnNames,
        string[]? carriedColumnNames = null, string timesColumnName = SeriesAnnotations.Times,
        string valuesColumnName = SeriesAnnotations.Values)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(channelColumnNames);
        return new SeriesGroupingEstimator(Environments.Of(catalog), new SeriesGrouping(
            idColumnName, timeColumnName, [.. channelColumnNames], [.. carriedColumnNames ?? []], timesColumnName, valuesColumnName));
    }

    /// <summary>Creates a trainer of classifiers of series into several classes: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, a key.</param>
    /// <param name="valueColumnName">The column of values, a vector of <see cref="float"/> or <see cref="double"/> of any length in which a
    /// time's channels stand after those of the time before; its annotation ChannelCount says how many there are, or there is one. NaN is
    /// missing.</param>
    /// <param name="timeColumnName">The column of times, a vector of <see cref="float"/> or <see cref="double"/>; null for 0, 1, 2, …,
    /// which also holds where the data have no column of the default name.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Series in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralCdeClassificationTrainer NeuralCde(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string valueColumnName = SeriesAnnotations.Values,
        string? timeColumnName = SeriesAnnotations.Times,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = NeuralCdeTrainerOptions.DefaultNumberOfEpochs,
        int batchSize = NeuralCdeTrainerOptions.DefaultBatchSize,
        double learningRate = NeuralCdeTrainerOptions.DefaultLearningRate,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeClassificationTrainer(Environments.Of(catalog), Set(
            new NeuralCdeClassificationTrainer.Options(), labelColumnName, valueColumnName, timeColumnName, exampleWeightColumnName,
            numberOfEpochs, batchSize,
            learningRate, validationSet));
    }

    /// <summary>Creates a trainer of classifiers of series into several classes: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralCdeClassificationTrainer NeuralCde(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, NeuralCdeClassificationTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeClassificationTrainer(Environments.Of(catalog), options);
    }

    /// <summary>Creates a trainer of classifiers of series into two classes: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="bool"/>.</param>
    /// <param name="valueColumnName">The column of values, a vector of <see cref="float"/> or <see cref="double"/> of any length in which a
    /// time's channels stand after those of the time before; its annotation ChannelCount says how many there are, or there is one. NaN is
    /// missing.</param>
    /// <param name="timeColumnName">The column of times, a vector of <see cref="float"/> or <see cref="double"/>; null for 0, 1, 2, …,
    /// which also holds where the data have no column of the default name.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Series in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralCdeBinaryClassificationTrainer NeuralCde(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string valueColumnName = SeriesAnnotations.Values,
        string? timeColumnName = SeriesAnnotations.Times,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = NeuralCdeTrainerOptions.DefaultNumberOfEpochs,
        int batchSize = NeuralCdeTrainerOptions.DefaultBatchSize,
        double learningRate = NeuralCdeTrainerOptions.DefaultLearningRate,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeBinaryClassificationTrainer(Environments.Of(catalog), Set(
            new NeuralCdeBinaryClassificationTrainer.Options(), labelColumnName, valueColumnName, timeColumnName, exampleWeightColumnName,
            numberOfEpochs, batchSize,
            learningRate, validationSet));
    }

    /// <summary>Creates a trainer of classifiers of series into two classes: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralCdeBinaryClassificationTrainer NeuralCde(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, NeuralCdeBinaryClassificationTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeBinaryClassificationTrainer(Environments.Of(catalog), options);
    }

    /// <summary>Creates a trainer of regressions on series: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column, <see cref="float"/> or a vector of it of known size.</param>
    /// <param name="valueColumnName">The column of values, a vector of <see cref="float"/> or <see cref="double"/> of any length in which a
    /// time's channels stand after those of the time before; its annotation ChannelCount says how many there are, or there is one. NaN is
    /// missing.</param>
    /// <param name="timeColumnName">The column of times, a vector of <see cref="float"/> or <see cref="double"/>; null for 0, 1, 2, …,
    /// which also holds where the data have no column of the default name.</param>
    /// <param name="exampleWeightColumnName">A column of <see cref="float"/> by which rows count more or less; null for equal
    /// weights.</param>
    /// <param name="numberOfEpochs">Passes over the training data.</param>
    /// <param name="batchSize">Series in a batch.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="validationSet">Data on which the loss is reported after each epoch; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    public static NeuralCdeRegressionTrainer NeuralCde(
        this RegressionCatalog.RegressionTrainers catalog,
        string labelColumnName = DefaultColumnNames.Label,
        string valueColumnName = SeriesAnnotations.Values,
        string? timeColumnName = SeriesAnnotations.Times,
        string? exampleWeightColumnName = null,
        int numberOfEpochs = NeuralCdeTrainerOptions.DefaultNumberOfEpochs,
        int batchSize = NeuralCdeTrainerOptions.DefaultBatchSize,
        double learningRate = NeuralCdeTrainerOptions.DefaultLearningRate,
        IDataView? validationSet = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeRegressionTrainer(Environments.Of(catalog), Set(
            new NeuralCdeRegressionTrainer.Options(), labelColumnName, valueColumnName, timeColumnName, exampleWeightColumnName,
            numberOfEpochs, batchSize,
            learningRate, validationSet));
    }

    /// <summary>Creates a trainer of regressions on series: neural controlled differential equations.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static NeuralCdeRegressionTrainer NeuralCde(
        this RegressionCatalog.RegressionTrainers catalog, NeuralCdeRegressionTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new NeuralCdeRegressionTrainer(Environments.Of(catalog), options);
    }

    /// <summary>A binary classifier of series with another threshold: true is predicted for scores above it.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The classifier. It shares its weights with the result: they are freed when both are disposed of.</param>
    /// <param name="threshold">The score, which is the logarithm of the odds: 0 is probability 0.5.</param>
    /// <returns>The classifier with the threshold, which is saved with it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not finite.</exception>
    /// <exception cref="ArgumentException">The model is no binary classifier.</exception>
    public static NeuralCdeTransformer ChangeModelThreshold(
        this BinaryClassificationCatalog catalog, NeuralCdeTransformer model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        NeuralOdeCatalog.CheckThreshold(threshold);
        return model.WithThreshold(Environments.Of(catalog), threshold);
    }

    /// <summary>Creates a trainer of forecasters: a linear map of the last values, corrected by a latent differential equation.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column of the forecasts, a vector of <paramref name="horizon"/> numbers, a channel.</param>
    /// <param name="inputColumnName">The column of values: one a row in the order of time, or a vector a series; NaN is missing.</param>
    /// <param name="horizon">The number of steps to forecast.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals, between 0 and 1.</param>
    /// <param name="confidenceLowerBoundColumn">The column of the lower ends of the intervals; null for none.</param>
    /// <param name="confidenceUpperBoundColumn">The column of the upper ends of the intervals; null for none.</param>
    /// <param name="timesColumnName">The column of times, numbers or dates; null for 0, 1, 2, ….</param>
    /// <param name="seriesKeyColumnName">The column that tells to which series a row belongs; null for one series, or a series a
    /// row.</param>
    /// <param name="exogenousColumnNames">Columns of numbers that are known of the times to come as well; null for none.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument makes no sense; the message names it.</exception>
    /// <example>
    /// <code>
    /// LatentOdeForecastingTransformer model = mlContext.Forecasting.LatentOde("Forecast", "Sales", horizon: 7).Fit(sales);
    /// SeriesForecast next = model.CreateForecastingEngine().Predict();
    /// </code>
    /// </example>
    public static LatentOdeForecastingTrainer LatentOde(
        this ForecastingCatalog catalog,
        string outputColumnName = LatentOdeForecastingTrainer.Options.DefaultForecast,
        string inputColumnName = SeriesAnnotations.Values,
        int horizon = LatentOdeForecastingTrainer.Options.DefaultHorizon,
        double confidenceLevel = LatentOdeForecastingTrainer.Options.DefaultConfidenceLevel,
        string? confidenceLowerBoundColumn = null,
        string? confidenceUpperBoundColumn = null,
        string? timesColumnName = null,
        string? seriesKeyColumnName = null,
        string[]? exogenousColumnNames = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new LatentOdeForecastingTrainer(Environments.Of(catalog), new LatentOdeForecastingTrainer.Options
        {
            ForecastColumnName = outputColumnName,
            FeatureColumnName = inputColumnName,
            Horizon = horizon,
            ConfidenceLevel = confidenceLevel,
            ConfidenceLowerBoundColumn = confidenceLowerBoundColumn,
            ConfidenceUpperBoundColumn = confidenceUpperBoundColumn,
            TimeColumnName = timesColumnName,
            SeriesKeyColumnName = seriesKeyColumnName,
            ExogenousColumnNames = exogenousColumnNames,
        });
    }

    /// <summary>Creates a trainer of forecasters: a linear map of the last values, corrected by a latent differential equation.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options; copied, so that later changes have no effect.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense; the message names it.</exception>
    public static LatentOdeForecastingTrainer LatentOde(this ForecastingCatalog catalog, LatentOdeForecastingTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new LatentOdeForecastingTrainer(Environments.Of(catalog), options);
    }

    private static TOptions Set<TOptions>(
        TOptions options, string label, string values, string? times, string? weights, int epochs, int batchSize, double learningRate,
        IDataView? validation)
        where TOptions : NeuralCdeTrainerOptions
    {
        options.LabelColumnName = label;
        options.FeatureColumnName = values;
        options.TimeColumnName = times;
        options.ExampleWeightColumnName = weights;
        options.NumberOfEpochs = epochs;
        options.BatchSize = batchSize;
        options.LearningRate = learningRate;
        options.ValidationSet = validation;
        return options;
    }
}
