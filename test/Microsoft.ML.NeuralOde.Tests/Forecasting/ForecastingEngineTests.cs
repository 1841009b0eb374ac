using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>A small forecaster, trained once.</summary>
public sealed class SmallForecaster : IDisposable
{
    public SmallForecaster()
    {
        Values = ForecastingTests.Noisy(160, 7);
        LatentOdeForecastingTrainer.Options options =
            ForecastingTests.Small(new LatentOdeForecastingTrainer.Options { Horizon = 4, TimeColumnName = "Date" });
        Model = Context.Forecasting.LatentOde(options).Fit(View(Values));
    }

    public MLContext Context { get; } = new(1);

    public float[] Values { get; }

    public LatentOdeForecastingTransformer Model { get; }

    public static DateTime Date(int day) => new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddDays(day);

    public IDataView View(float[] values) =>
        Context.Data.LoadFromEnumerable(values.Select((value, i) => new Dated { Date = Date(i), Value = value }).ToArray());

    public void Dispose() => Model.Dispose();

    internal sealed class Dated
    {
        public DateTime Date { get; set; }

        public float Value { get; set; }
    }
}

/// <summary>Engines, files, and input that makes no sense.</summary>
public sealed class ForecastingEngineTests(SmallForecaster small) : IClassFixture<SmallForecaster>
{
    [Fact]
    public void An_engine_goes_on_where_the_data_end_and_takes_new_values()
    {
        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        engine.Predict().Dates().Should().Equal(Enumerable.Range(160, 4).Select(SmallForecaster.Date));
        SeriesForecast after = engine.Predict(new SeriesObservation(49, SmallForecaster.Date(160)));
        after.Dates()[0].Should().Be(SmallForecaster.Date(161));
        engine.Predict(new SeriesObservation(50)).Dates()[0].Should().Be(SmallForecaster.Date(162));

        // What an engine says is what the transformed data say.
        float[] all = [.. small.Values, 49];
        small.Context.Data.CreateEnumerable<Forecast>(small.Model.Transform(small.View(all)), false).Last().Values
            .Zip(after.Values, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);
    }

    [Fact]
    public void A_missing_value_moves_the_time_alone()
    {
        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        float second = engine.Predict().Values[1];
        engine.Predict(new SeriesObservation(float.NaN)).Values[0].Should().BeApproximately(second, 1e-3f);
    }

    [Fact]
    public void A_checkpoint_goes_on()
    {
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.zip");
        try
        {
            NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
            SeriesForecast expected = engine.Predict(new SeriesObservation(55));
            engine.CheckPoint(path);
            using var loaded = (LatentOdeForecastingTransformer)new MLContext().Model.Load(path, out _);
            SeriesForecast found = loaded.CreateForecastingEngine().Predict();
            found.Values.Should().Equal(expected.Values);
            found.LowerBounds.Zip(expected.LowerBounds, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);
            found.Times.Should().Equal(expected.Times);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Several_threads_may_use_one_model()
    {
        float[] expected = small.Model.CreateForecastingEngine().Predict().Values;
        Parallel.For(0, 8, _ => small.Model.CreateForecastingEngine().Predict().Values.Should().Equal(expected));
    }

    [Fact]
    public void What_makes_no_sense_is_named()
    {
        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        Refused<ArgumentOutOfRangeException>(() => engine.Predict(0), "*horizon is 0*from 1 to 4*");
        Refused<ArgumentOutOfRangeException>(() => engine.Predict(5), "*horizon is 5*");
        Refused<ArgumentOutOfRangeException>(() => engine.Predict(2, 1), "*confidenceLevel is 1*");
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation(1, SmallForecaster.Date(3))), "*times must increase*");
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation(float.PositiveInfinity)), "*Infinity*finite*");
        Refused<ArgumentOutOfRangeException>(() => small.Context.Forecasting.LatentOde(horizon: 0), "*Horizon is 0*");
        Refused<ArgumentOutOfRangeException>(() => small.Context.Forecasting.LatentOde(confidenceLevel: 1), "*ConfidenceLevel is 1*");
        Refused<InvalidOperationException>(() => Fit([1]), "*long enough*has 1 observations*");
        Refused<InvalidOperationException>(() => Fit([.. Enumerable.Repeat(float.NaN, 90)]), "*no value: all are missing*");
        Refused<InvalidOperationException>(() => Fit([1, 2, float.NegativeInfinity, 4]), "*row 2*-Infinity*");
        Refused<InvalidOperationException>(() => small.Model.Transform(Backward()).Preview(), "*row 1*times must increase*");
    }

    private IDataView Backward() => small.Context.Data.LoadFromEnumerable(
        (SmallForecaster.Dated[])[new() { Date = SmallForecaster.Date(1), Value = 1 },
            new() { Date = SmallForecaster.Date(0), Value = 2 }]);

    private void Fit(float[] values) => small.Context.Forecasting.LatentOde(inputColumnName: "Value").Fit(small.View(values));

    private static void Refused<TException>(Action action, string message)
        where TException : Exception => action.Should().Throw<TException>().WithMessage(message);

    private sealed class Forecast
    {
        [ColumnName("Forecast")]
        public float[] Values { get; set; } = [];
    }
}
