using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>How a table is to be drawn.</summary>
/// <param name="Rows">How many rows.</param>
/// <param name="Epochs">Epochs of the training; null for the estimator's default.</param>
/// <param name="Seed">Of the division into training rows and others, of the training, and of what is drawn.</param>
/// <param name="Missing">What becomes of rows without a number.</param>
internal sealed record TableSettings(int Rows, int? Epochs, int Seed, MissingNumbers Missing);

/// <summary>A table that was drawn.</summary>
/// <param name="Table">The file that was learned.</param>
/// <param name="TrainingRows">Rows that trained.</param>
/// <param name="HeldBackRows">Rows that did not.</param>
/// <param name="Numbers">Columns of numbers.</param>
/// <param name="Categories">Columns of categories.</param>
/// <param name="Check">How near the rows come to training rows.</param>
/// <param name="MarginalDistance">
/// The largest difference between the cumulative distributions of a feature in generated rows and in rows held back, the mean over the
/// features.
/// </param>
/// <param name="HeldBackMarginalDistance">
/// The same between training rows and rows held back: what chance makes of equal distributions.
/// </param>
/// <param name="Seconds">For training and drawing.</param>
internal sealed record TableResult(
    string Table, int TrainingRows, int HeldBackRows, int Numbers, int Categories, CopyCheck Check, double MarginalDistance,
    double HeldBackMarginalDistance, double Seconds);

/// <summary>Learns a table of numbers and categories, and draws another one like it.</summary>
internal static class TableStory
{
    private const double HeldBack = 0.2;

    /// <summary>The result, and the generated table as CSV with the header of the one that was learned.</summary>
    public static (TableResult Result, string Csv) Run(
        MixedTable table, TableSettings settings, Action<double> report, CancellationToken cancellationToken)
    {
        var mlContext = new MLContext(settings.Seed);
        IDataView rows = table.Load(mlContext);
        string[] numbers = [.. table.Varying.Where(column => column.IsNumber).Select(column => column.Name)];
        if (settings.Missing == MissingNumbers.Drop && numbers.Length > 0)
            rows = mlContext.Data.FilterRowsByMissingValues(rows, numbers);
        DataOperationsCatalog.TrainTestData split =
            mlContext.Data.TrainTestSplit(mlContext.Data.Cache(rows), HeldBack, seed: settings.Seed);
        string features = Unused("Features", table);
        using TransformerChain<ITransformer> encoding =
            Encoding(mlContext, table, numbers, features, settings.Missing).Fit(split.TrainSet);

        long started = Stopwatch.GetTimestamp();
        var options = new ContinuousFlowDensityEstimator.Options
        {
            FeatureColumnName = features,
            Dequantization = Dequantization.Integers,
            Reshaping = FeatureReshaping.IrregularFeatures,
            CancellationToken = cancellationToken,
            EpochCallback = epoch => report((double)epoch.Epoch / epoch.NumberOfEpochs),
        };
        options.NumberOfEpochs = settings.Epochs ?? options.NumberOfEpochs;
        using ContinuousFlowDensityTransformer density =
            mlContext.Transforms.ContinuousFlowDensity(options).Fit(encoding.Transform(split.TrainSet));
        IDataView drawn = density.SampleAsDataView(settings.Rows, settings.Seed);
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;

        float[][] training = Features(split.TrainSet), others = Features(split.TestSet), generated = Features(drawn);
        var result = new TableResult(
            Path.GetFileName(table.File), training.Length, others.Length, table.Columns.Count(column => column.IsNumber),
            table.Columns.Count(column => !column.IsNumber), CopyCheck.Of(training, others, generated), Distance(generated, others),
            Distance(training, others), seconds);
        return (result, Csv(table, drawn, settings.Rows));

        float[][] Features(IDataView view) => [.. encoding.Transform(view).GetColumn<float[]>(features)];
    }

    private static EstimatorChain<ITransformer> Encoding(
        MLContext mlContext, MixedTable table, string[] numbers, string features, MissingNumbers missing)
    {
        var chain = new EstimatorChain<ITransformer>();
        if (missing == MissingNumbers.Mean && numbers.Length > 0)
            chain = chain.Append<ITransformer>(mlContext.Transforms.ReplaceMissingValues(
                [.. numbers.Select(name => new InputOutputColumnPair(name))],
                Transforms.MissingValueReplacingEstimator.ReplacementMode.Mean));
        foreach (MixedColumn column in table.Varying.Where(column => !column.IsNumber))
            chain = chain.Append<ITransformer>(mlContext.Transforms.Categorical.OneHotEncoding(column.Name));
        return chain.Append<ITransformer>(mlContext.Transforms.Concatenate(features, [.. table.Varying.Select(column => column.Name)]));
    }

    /// <summary>
    /// The mean over the features of the largest difference between cumulative distributions (A. Kolmogorov, N. Smirnov).
    /// </summary>
    private static double Distance(float[][] one, float[][] other) => Enumerable.Range(0, one[0].Length).Average(feature =>
    {
        float[] a = [.. one.Select(row => row[feature]).Order()], b = [.. other.Select(row => row[feature]).Order()];
        double largest = 0;
        for (int i = 0, j = 0; i < a.Length && j < b.Length;)
        {
            float value = Math.Min(a[i], b[j]);
            while (i < a.Length && a[i] == value)
                i++;
            while (j < b.Length && b[j] == value)
                j++;
            largest = Math.Max(largest, Math.Abs((double)i / a.Length - (double)j / b.Length));
        }
        return largest;
    });

    private static string Csv(MixedTable table, IDataView drawn, int rows)
    {
        string[][] columns = [.. table.Columns.Select(column => column switch
        {
            { Constant: { } constant } => [.. Enumerable.Repeat(constant, rows)],
            { IsNumber: true } =>
                drawn.GetColumn<float>(column.Name).Select(value => value.ToString(CultureInfo.InvariantCulture)).ToArray(),
            _ => drawn.GetColumn<string>(column.Name).ToArray(),
        })];
        var text = new StringBuilder().AppendJoin(',', table.Columns.Select(column => CsvLine.Cell(column.Name))).Append('\n');
        for (int row = 0; row < rows; row++)
            text.AppendJoin(',', columns.Select(column => CsvLine.Cell(column[row]))).Append('\n');
        return text.ToString();
    }

    private static string Unused(string name, MixedTable table)
    {
        while (table.Columns.Any(column => column.Name == name))
            name += "_";
        return name;
    }
}
