using System.Diagnostics;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Tabular;

namespace Microsoft.ML.NeuralOde.Samples.Series;

/// <summary>What came of a share of dropped observations.</summary>
/// <param name="Drop">The share.</param>
/// <param name="Figure">Accuracy or RMSE over the seeds.</param>
/// <param name="Seconds">The time of a training over the seeds.</param>
/// <param name="Baselines">The same figure of simple methods.</param>
internal sealed record SeriesShare(double Drop, Spread Figure, Spread Seconds, IReadOnlyDictionary<string, double> Baselines);

/// <summary>Trains on a set with fewer and fewer observations, for several seeds each.</summary>
internal sealed class SeriesStory(SeriesSet set, string? masks, int? epochs, int first = 1)
{
    /// <summary>What the last model says of some series; null before there is one.</summary>
    public Figure? Picture { get; private set; }

    /// <summary>Trains and evaluates one share.</summary>
    public SeriesShare Run(double drop, int seeds, Action<double> progress, CancellationToken cancellationToken)
    {
        SeriesSet dropped = set.Drop(drop, masks, first);
        var figures = new List<double>();
        var times = new List<double>();
        for (int seed = 1; seed <= seeds; seed++)
        {
            var clock = Stopwatch.StartNew();
            (MLContext context, NeuralCdeTransformer model) =
                Train(dropped, first + seed - 1, (epoch, all) => progress((seed - 1 + epoch / (double)all) / seeds), cancellationToken);
            times.Add(clock.Elapsed.TotalSeconds);
            using (model)
            {
                figures.Add(Evaluate(context, dropped, model));
                Picture = SeriesPicture.Draw(dropped, model);
            }
        }
        return new SeriesShare(drop, Spread.Of(figures), Spread.Of(times), SeriesBaselines.Run(dropped));
    }

    /// <summary>A model with the trainer's defaults.</summary>
    public (MLContext Context, NeuralCdeTransformer Model) Train(
        SeriesSet data, int seed, Action<int, int> progress, CancellationToken cancellationToken)
    {
        var context = new MLContext(seed);
        IDataView train = data.View(context, data.Train);
        return (context, data.IsRegression
            ? context.Regression.Trainers.NeuralCde(With(new NeuralCdeRegressionTrainer.Options())).Fit(train)
            : context.MulticlassClassification.Trainers.NeuralCde(With(new NeuralCdeClassificationTrainer.Options())).Fit(train));

        TOptions With<TOptions>(TOptions options)
            where TOptions : NeuralCdeTrainerOptions
        {
            options.Seed = seed;
            options.ChannelCount = data.Channels;
            options.NumberOfEpochs = epochs ?? options.NumberOfEpochs;
            options.CancellationToken = cancellationToken;
            options.EpochCallback = report => progress(report.Epoch, report.NumberOfEpochs);
            return options;
        }
    }

    private static double Evaluate(MLContext context, SeriesSet data, NeuralCdeTransformer model)
    {
        IDataView scored = model.Transform(data.View(context, data.Test));
        return data.IsRegression
            ? context.Regression.Evaluate(scored, SeriesSet.Label).RootMeanSquaredError
            : context.MulticlassClassification.Evaluate(scored, SeriesSet.Label).MicroAccuracy;
    }
}
