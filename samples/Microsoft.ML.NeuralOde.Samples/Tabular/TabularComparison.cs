using System.Diagnostics;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>A figure over several seeds.</summary>
internal sealed record Spread(double Mean, double Deviation)
{
    public static Spread Of(IReadOnlyCollection<double> values)
    {
        double mean = values.Average();
        return new Spread(
            mean, values.Count < 2 ? 0 : Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1)));
    }
}

/// <summary>What a trainer made of a table.</summary>
internal sealed record TabularResult(string Trainer, IReadOnlyDictionary<string, Spread> Figures, Spread FitSeconds);

/// <summary>What all trainers made of a table.</summary>
internal sealed record TabularSetResult(
    string Set, string Task, string Origin, int Rows, int Features, IReadOnlyList<TabularResult> Trainers);

/// <summary>Trains on 70 % of a table and evaluates on the rest, for several seeds, each of which splits anew.</summary>
internal static class TabularComparison
{
    private const double TestFraction = 0.3;

    public static TabularSetResult Run(TabularSet set, int seeds, int first, Action<double> progress, CancellationToken cancellationToken)
    {
        IReadOnlyList<TabularTrainer> trainers = TabularTrainers.For(set.Task);
        var results = new List<TabularResult>();
        foreach (TabularTrainer trainer in trainers)
        {
            var figures = new Dictionary<string, List<double>>();
            var times = new List<double>();
            for (int seed = 1; seed <= seeds; seed++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                (IReadOnlyDictionary<string, double> found, double seconds) = Run(set, trainer, first + seed - 1);
                foreach ((string name, double value) in found)
                    (figures.TryGetValue(name, out List<double>? values) ? values : figures[name] = []).Add(value);
                times.Add(seconds);
                progress((results.Count + seed / (double)seeds) / trainers.Count);
            }
            results.Add(
                new TabularResult(trainer.Name, figures.ToDictionary(pair => pair.Key, pair => Spread.Of(pair.Value)), Spread.Of(times)));
        }
        return new TabularSetResult(set.Name, set.Task.ToString(), set.Origin, set.Rows.Count, set.Rows[0].Features.Length, results);
    }

    private static (IReadOnlyDictionary<string, double> Figures, double Seconds) Run(TabularSet set, TabularTrainer trainer, int seed)
    {
        var context = new MLContext(seed);
        var schema = SchemaDefinition.Create(typeof(TabularRow));
        schema[nameof(TabularRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, set.Rows[0].Features.Length);
        IDataView labelled = WithLabel(context, set.Task, context.Data.LoadFromEnumerable(set.Rows, schema));
        DataOperationsCatalog.TrainTestData split = context.Data.TrainTestSplit(labelled, TestFraction, seed: seed);
        IDataView train = context.Data.Cache(split.TrainSet), test = context.Data.Cache(split.TestSet);
        foreach (float[] _ in train.GetColumn<float[]>(nameof(TabularRow.Features)))
        {
            // Fills the cache, so that the time is that of the trainer.
        }
        var clock = Stopwatch.StartNew();
        ITransformer model = trainer.Create(context).Fit(train);
        double seconds = clock.Elapsed.TotalSeconds;
        try
        {
            return (TabularTrainers.Evaluate(context, set.Task, model.Transform(test)), seconds);
        }
        finally
        {
            (model as IDisposable)?.Dispose();
        }
    }

    private static IDataView WithLabel(MLContext context, TabularTask task, IDataView rows) => task switch
    {
        TabularTask.Binary => context.Transforms.CopyColumns(TabularTrainers.Label, nameof(TabularRow.Truth)).Fit(rows).Transform(rows),
        TabularTask.Multiclass =>
        context.Transforms.Conversion.MapValueToKey(TabularTrainers.Label, nameof(TabularRow.Class)).Fit(rows).Transform(rows),
        _ => context.Transforms.CopyColumns(TabularTrainers.Label, nameof(TabularRow.Target)).Fit(rows).Transform(rows),
    };
}
