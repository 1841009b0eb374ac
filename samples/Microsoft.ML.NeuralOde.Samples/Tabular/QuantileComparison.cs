using System.Diagnostics;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers.FastTree;
using Microsoft.ML.Trainers.LightGbm;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>How good predicted distributions are on rows that nobody has learned from.</summary>
/// <param name="Method">Who predicts.</param>
/// <param name="Crps">
/// The continuous ranked probability score, in units of the number; the smaller, the better (T. Gneiting, A. Raftery, Strictly Proper
/// Scoring Rules, 2007): twice the mean over 99 quantiles of |y − q| weighed by p above the quantile and 1 − p below.
/// </param>
/// <param name="Coverage">The share of the numbers between the quantiles of 5 and 95 %.</param>
/// <param name="Width">The mean distance of these two.</param>
/// <param name="Seconds">For training.</param>
internal sealed record QuantileFigures(string Method, double Crps, double Coverage, double Width, double Seconds);

/// <summary>What all made of a table.</summary>
internal sealed record QuantileResult(string Set, int Rows, int Features, IReadOnlyList<QuantileFigures> Methods);

/// <summary>A conditional flow beside what ML.NET's trees say of distributions.</summary>
/// <remarks>
/// ML.NET's LightGBM has no loss for quantiles, so that residuals on rows that were held back make its distributions, as in split conformal
/// prediction. FastForest keeps numbers of the training rows in its leaves: those of the leaves that a row falls into are its distribution (N.
/// Meinshausen, Quantile Regression Forests, 2006).
/// </remarks>
internal static class QuantileComparison
{
    private const double TestFraction = 0.3, HeldBack = 0.2;
    private const int Levels = 99;

    // Deep trees, whose leaves differ: with the default of 20 leaves distributions are wide.
    private const int ForestLeaves = 512;

    private static readonly double[] Probabilities = [.. Enumerable.Range(1, Levels).Select(i => i / (Levels + 1.0))];

    public static QuantileResult Run(TabularSet set, int seed, int? epochs, Action<double> report, CancellationToken cancellationToken)
    {
        TabularRow[] rows = [.. set.Rows];
        new Random(seed).Shuffle(rows);
        int tested = (int)(TestFraction * rows.Length);
        TabularRow[] test = rows[..tested], training = rows[tested..];
        QuantileFigures[] methods =
        [
            Judge("conditional flow", test, () => Flow(training, test, seed, epochs, report, cancellationToken)),
            Judge("LightGBM, residuals", test, () => Trees(training, test, seed, isScaled: false)),
            Judge("LightGBM, scaled residuals", test, () => Trees(training, test, seed, isScaled: true)),
            Judge("FastForest, leaves", test, () => Forest(training, test, seed)),
            Judge("training numbers", test, () => Marginal(training, test)),
        ];
        return new QuantileResult(set.Name, rows.Length, rows[0].Features.Length, methods);
    }

    private static QuantileFigures Judge(string method, TabularRow[] test, Func<Prediction> predict)
    {
        Prediction prediction = predict();
        double[][] quantiles = prediction.Quantiles;
        double crps = 2 * test.Zip(quantiles).Average(pair => Probabilities.Select((p, i) =>
            (pair.First.Target - pair.Second[i]) * (p - (pair.First.Target < pair.Second[i] ? 1 : 0))).Average());
        int low = Levels / 20, high = Levels - 1 - low;
        return new QuantileFigures(
            method, crps,
            test.Zip(quantiles).Average(pair =>
                pair.First.Target >= pair.Second[low] && pair.First.Target <= pair.Second[high] ? 1.0 : 0),
            quantiles.Average(row => row[high] - row[low]), prediction.Seconds);
    }

    private static Prediction Flow(
        TabularRow[] training, TabularRow[] test, int seed, int? epochs, Action<double> report, CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        var mlContext = new MLContext(seed);
        var options = new ContinuousFlowDensityEstimator.Options
        {
            FeatureColumnName = nameof(TargetRow.Target),
            ConditionColumnName = nameof(TargetRow.Features),
            // Targets are single pairs under a condition: many of them, and rows held back tell when to stop.
            PathsPerBatch = 1024,
            Smoothing = 0.01,
            StepSize = 1.0 / 8,
            ValidationFraction = HeldBack,
            CancellationToken = cancellationToken,
            EpochCallback = epoch => report((double)epoch.Epoch / epoch.NumberOfEpochs),
        };
        options.NumberOfEpochs = epochs ?? options.NumberOfEpochs;
        using ContinuousFlowDensityTransformer density = mlContext.Transforms.ContinuousFlowDensity(options).Fit(View(mlContext, training));
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        using ContinuousFlowQuantileTransformer regression = mlContext.Regression.PredictQuantiles(density, Probabilities);
        IEnumerable<float[]> quantiles = regression.Transform(View(mlContext, test)).GetColumn<float[]>("Quantiles");
        return new Prediction([.. quantiles.Select(row => row.Select(q => (double)q).ToArray())], seconds);
    }

    /// <summary>
    /// Trees predict the number; their residuals on rows that were held back are the distribution around it, each divided by what other
    /// trees say of its size where they are scaled.
    /// </summary>
    private static Prediction Trees(TabularRow[] training, TabularRow[] test, int seed, bool isScaled)
    {
        long started = Stopwatch.GetTimestamp();
        int heldBack = (int)(HeldBack * training.Length);
        TabularRow[] calibrating = training[..heldBack], learned = training[heldBack..];
        TabularRow[] spreading = isScaled ? learned[..heldBack] : [];
        learned = learned[spreading.Length..];
        Func<TabularRow[], float[]> predict = Fit(learned, [.. learned.Select(row => row.Target)]);
        Func<TabularRow[], double[]> spread = rows => [.. rows.Select(_ => 1.0)];
        if (isScaled)
        {
            float[] sizes = [.. spreading.Zip(predict(spreading), (row, found) => Math.Abs(row.Target - found))];
            Func<TabularRow[], float[]> size = Fit(spreading, sizes);
            double least = 0.1 * sizes.Average();
            spread = rows => [.. size(rows).Select(value => Math.Max(value, least))];
        }
        double[] residuals = [.. calibrating.Zip(predict(calibrating), (row, found) => row.Target - found)
            .Zip(spread(calibrating), (residual, unit) => residual / unit).Order()];
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double[] quantiles = Quantiles(residuals);
        return new Prediction(
            [.. predict(test).Zip(spread(test), (found, unit) => quantiles.Select(q => found + unit * q).ToArray())], seconds);

        Func<TabularRow[], float[]> Fit(TabularRow[] rows, float[] labels)
        {
            var mlContext = new MLContext(seed);
            RegressionPredictionTransformer<LightGbmRegressionModelParameters> model =
                mlContext.Regression.Trainers.LightGbm().Fit(View(mlContext, rows, labels));
            return others => [.. model.Transform(View(mlContext, others)).GetColumn<float>("Score")];
        }
    }

    /// <summary>Each training number that lies in a leaf of the row counts as much as its share of the leaf, all trees alike.</summary>
    private static Prediction Forest(TabularRow[] training, TabularRow[] test, int seed)
    {
        long started = Stopwatch.GetTimestamp();
        var mlContext = new MLContext(seed);
        using RegressionPredictionTransformer<FastForestRegressionModelParameters> model = mlContext.Regression.Trainers.FastForest(
            new FastForestRegressionTrainer.Options { NumberOfLeaves = ForestLeaves }).Fit(View(mlContext, training));
        QuantileRegressionTree[] trees = [.. model.Model.TrainedTreeEnsemble.Trees];
        double[][][] leaves = [.. trees.Select(tree =>
            Enumerable.Range(0, tree.NumberOfLeaves).Select(leaf => tree.GetLeafSamplesAt(leaf).ToArray()).ToArray())];
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        return new Prediction([.. test.Select(row => WeightedQuantiles(
            [.. trees.SelectMany((tree, i) => Samples(leaves[i][LeafOf(tree, row.Features)]))]))], seconds);

        static IEnumerable<(double Value, double Weight)> Samples(double[] leaf) => leaf.Select(value => (value, 1.0 / leaf.Length));
    }

    private static int LeafOf(QuantileRegressionTree tree, float[] features)
    {
        if (tree.NumberOfNodes == 0)
            return 0;
        int node = 0;
        while (node >= 0)
            node = features[tree.NumericalSplitFeatureIndexes[node]] <= tree.NumericalSplitThresholds[node]
                ? tree.LeftChild[node] : tree.RightChild[node];
        return ~node;
    }

    /// <summary>The least values that as large a share of the weight does not exceed.</summary>
    private static double[] WeightedQuantiles((double Value, double Weight)[] samples)
    {
        Array.Sort(samples, (a, b) => a.Value.CompareTo(b.Value));
        double total = samples.Sum(sample => sample.Weight), below = 0;
        double[] quantiles = new double[Probabilities.Length];
        for (int i = 0, next = 0; i < samples.Length; i++)
        {
            below += samples[i].Weight;
            while (next < quantiles.Length && (below >= Probabilities[next] * total || i == samples.Length - 1))
                quantiles[next++] = samples[i].Value;
        }
        return quantiles;
    }

    private static Prediction Marginal(TabularRow[] training, TabularRow[] test)
    {
        double[] quantiles = Quantiles([.. training.Select(row => (double)row.Target).Order()]);
        return new Prediction([.. test.Select(_ => quantiles)], 0);
    }

    /// <summary>Of numbers in rising order, the one of rank p (n + 1), between neighbours along a line.</summary>
    private static double[] Quantiles(double[] sorted) => [.. Probabilities.Select(p =>
    {
        double place = Math.Clamp(p * (sorted.Length + 1) - 1, 0, sorted.Length - 1);
        int below = (int)place;
        return below + 1 < sorted.Length ? sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    })];

    private static IDataView View(MLContext mlContext, TabularRow[] rows, float[]? labels = null)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(TargetRow));
        schema[nameof(TargetRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
        return mlContext.Data.LoadFromEnumerable(rows.Select((row, i) => new TargetRow
        {
            Features = row.Features,
            Label = labels?[i] ?? row.Target,
            Target = [labels?[i] ?? row.Target],
        }).ToArray(), schema);
    }

    private sealed record Prediction(double[][] Quantiles, double Seconds);

    private sealed class TargetRow
    {
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        [VectorType(1)]
        public float[] Target { get; set; } = [];
    }
}
