using Microsoft.ML.NeuralOde.Forecasting;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>A small sealed model of each kind, and what it says about a point.</summary>
public sealed class SavedModels
{
    public SavedModels()
    {
        var mlContext = new MLContext(1);
        Archives = new byte[SmallModels.AllKinds.Length][];
        Seals = new string[Archives.Length];
        for (int i = 0; i < Archives.Length; i++)
        {
            (ITransformer model, IDataView data) = SmallModels.Fit(mlContext, SmallModels.AllKinds[i]);
            using var stream = new MemoryStream();
            Seals[i] = mlContext.Model.SaveSealed(model, data.Schema, stream);
            Archives[i] = stream.ToArray();
            (model as IDisposable)?.Dispose();
        }
        Scores = [.. Archives.Select(archive => Score(Load(archive)))];
    }

    internal byte[][] Archives { get; }

    internal string[] Seals { get; }

    internal float[][] Scores { get; }

    internal static ITransformer Load(byte[] archive, SealedModelOptions? options = null) =>
        new MLContext(1).Model.LoadSealed(new MemoryStream(archive), out _, options);

    /// <summary>What a model of this library, alone or in a pipeline, says about the point. Disposes of it.</summary>
    internal static float[] Score(ITransformer model)
    {
        using (model as IDisposable)
            foreach (ITransformer step in model as IEnumerable<ITransformer> ?? [model])
                switch (step)
                {
                    case NeuralOdeTransformer predictor:
                        var scores = new float[predictor.Model.OutputCount];
                        predictor.Model.Score(SmallModels.Point(predictor.Model.FeatureCount), 1, scores);
                        return scores;
                    case ContinuousFlowTransformer flow:
                        return flow.Model.LogDensity(
                            SmallModels.Point(flow.Model.FeatureCount), new float[flow.Model.ConditionCount]);
                    case NeuralCdeTransformer series:
                        return [.. series.Model.ScoreAtObservations(SmallModels.Point(5 * series.Model.ChannelCount))
                            .SelectMany(observation => observation)];
                    case LatentOdeForecastingTransformer forecaster:
                        return Forecast(forecaster.Model);
                }
        throw new InvalidOperationException("The pipeline has no model of this library.");
    }

    /// <summary>What is forecast of twenty observations at equal distances, with its intervals.</summary>
    private static float[] Forecast(LatentOdeForecastingModel model)
    {
        ExogenousTrack? track = model.ExogenousCount == 0 ? null : new ExogenousTrack(new string[model.ExogenousCount]);
        var series = new ObservedSeries("", model.ChannelCount, track);
        for (int time = 0; time < 20; time++)
            series.Add(time, SmallModels.Point(model.ChannelCount));
        for (int time = 0; time < 20 + model.Horizon; time++)
            track?.Set(time, SmallModels.Point(track.Channels));
        SeriesForecast? forecast = model.Forecast(series, null, model.Horizon, 0.9);
        return forecast is null ? [] : [.. forecast.Values, .. forecast.LowerBounds, .. forecast.UpperBounds];
    }
}
