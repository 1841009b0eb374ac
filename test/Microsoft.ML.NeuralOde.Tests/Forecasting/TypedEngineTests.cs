using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>Engines whose observations and forecasts are objects: they say what those without types say.</summary>
public sealed class TypedEngineTests(SmallForecaster small, SmallExogenousForecaster exogenous)
    : IClassFixture<SmallForecaster>, IClassFixture<SmallExogenousForecaster>
{
    [Fact]
    public void It_says_what_the_engine_without_types_says()
    {
        NeuralOdeForecastingEngine expected = small.Model.CreateForecastingEngine();
        using NeuralOdeForecastingEngine<SmallForecaster.Dated, Timed> engine =
            small.Model.CreateForecastingEngine<SmallForecaster.Dated, Timed>();
        Same(engine.Predict(), expected.Predict());
        Same(engine.Predict(2, 0.5), expected.Predict(2, 0.5));
        Same(engine.Predict(Day(160, 49)), expected.Predict(new SeriesObservation(49, SmallForecaster.Date(160))));
        Same(engine.Predict(Day(161, float.NaN), 3), expected.Predict(new SeriesObservation(float.NaN, SmallForecaster.Date(161))), 3);
        engine.Observe(Day(162, 55));
        expected.Observe(new SeriesObservation(55, SmallForecaster.Date(162)));
        SeriesForecast asked = expected.Predict(SeriesFuture.At(SmallForecaster.Date(163), SmallForecaster.Date(165)));
        Same(engine.Predict([Day(163, 0), Day(165, 1000)]), asked);
        Same(engine.Predict(), expected.Predict());
        engine.SeriesKey.Should().BeEmpty();
    }

    [Fact]
    public void Exogenous_values_are_those_of_the_rows()
    {
        NeuralOdeForecastingEngine expected = exogenous.Model.CreateForecastingEngine();
        using NeuralOdeForecastingEngine<SmallExogenousForecaster.Day, Plain> engine =
            exogenous.Model.CreateForecastingEngine<SmallExogenousForecaster.Day, Plain>();
        SmallExogenousForecaster.Day day = exogenous.Rows[150];
        engine.Observe(day);
        expected.Observe(new SeriesObservation(day.Sales, day.Time) { Exogenous = [day.Promotion] });
        engine.Predict(exogenous.Rows[151..155]).Forecast.Should().Equal(expected.Predict(new SeriesFuture
        {
            Times = [151, 152, 153, 154],
            Exogenous = [.. exogenous.Rows[151..155].Select(row => (float[])[row.Promotion])],
        }).Values);
        Refused<InvalidOperationException>(() => engine.Predict(), "*'Promotion' are known until 150*");
        Refused<ArgumentException>(() => engine.Predict(day), "*times must increase*");
    }

    [Fact]
    public void Channels_and_keys_come_by_their_columns_and_a_checkpoint_goes_on()
    {
        var context = new MLContext(1);
        Sale[] rows = [.. Enumerable.Range(0, 120).Select(i => new Sale { Shop = $"{i % 2}", Time = i, Both = [i, 10 - i] })];
        LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(
            new LatentOdeForecastingTrainer.Options { Horizon = 2, TimeColumnName = "Time", SeriesKeyColumnName = "Shop" });
        options.FeatureColumnName = "Both";
        using LatentOdeForecastingTransformer model = context.Forecasting.LatentOde(options).Fit(context.Data.LoadFromEnumerable(rows));
        using NeuralOdeForecastingEngine<Sale, Plain> engine = model.CreateForecastingEngine<Sale, Plain>("1");
        engine.SeriesKey.Should().Be("1");
        float[] next = engine.Predict(new Sale { Shop = "1", Time = 121, Both = [121, -111] }).Forecast;
        next.Zip((float[])[123, -113, 125, -115], (found, value) => Math.Abs(found - value)).Max().Should().BeLessThan(0.02f * 125);
        Refused<ArgumentException>(
            () => engine.Observe(new Sale { Shop = "0", Time = 200, Both = [1, 2] }), "*'Shop' is '0'*the series '1'*");
        Refused<InvalidOperationException>(() => engine.Observe(new Sale { Shop = "1", Time = 200, Both = [1] }), "*'Both' has*");
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.zip");
        try
        {
            engine.CheckPoint(path);
            using var loaded = (LatentOdeForecastingTransformer)new MLContext().Model.Load(path, out _);
            using NeuralOdeForecastingEngine<Sale, Plain> resumed = loaded.CreateForecastingEngine<Sale, Plain>("1");
            resumed.Predict().Forecast.Should().Equal(next);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void What_makes_no_sense_is_named()
    {
        Refused<ArgumentOutOfRangeException>(() => small.Model.CreateForecastingEngine<Plain, Plain>(), "*'Value'*");
        Refused<ArgumentOutOfRangeException>(() => small.Model.CreateForecastingEngine<SmallForecaster.Dated, Bounded>(), "*'Low'*");
        Refused<ArgumentException>(() => small.Model.CreateForecastingEngine<SmallForecaster.Dated, Plain>("b"), "*no series 'b'*");
        using NeuralOdeForecastingEngine<SmallForecaster.Dated, Plain> engine =
            small.Model.CreateForecastingEngine<SmallForecaster.Dated, Plain>();
        float[] before = engine.Predict().Forecast;
        Refused<ArgumentOutOfRangeException>(() => engine.Predict(Day(160, 1), 5), "*horizon is 5*from 1 to 4*");
        Refused<ArgumentException>(() => engine.Predict(Day(160, float.PositiveInfinity)), "*Infinity*finite*");
        Refused<ArgumentException>(() => engine.Predict([Day(161, 1), Day(160, 1)]), "*times must increase*");
        FluentActions.Invoking(() => engine.Observe(null!)).Should().Throw<ArgumentNullException>();
        engine.Predict().Forecast.Should().Equal(before);
    }

    private static SmallForecaster.Dated Day(int day, float value) => new() { Date = SmallForecaster.Date(day), Value = value };

    private static void Same(Timed found, SeriesForecast expected, int steps = int.MaxValue)
    {
        found.Forecast.Should().Equal(expected.Values.Take(steps));
        found.Times.Should().Equal(expected.Times.Take(steps));
    }

    private static void Refused<TException>(Action action, string message)
        where TException : Exception => action.Should().Throw<TException>().WithMessage(message);

    private sealed class Timed
    {
        public float[] Forecast { get; set; } = [];

        public double[] Times { get; set; } = [];
    }

    private sealed class Plain
    {
        public float[] Forecast { get; set; } = [];
    }

    private sealed class Bounded
    {
        public float[] Forecast { get; set; } = [];

        public float[] Low { get; set; } = [];
    }

    private sealed class Sale
    {
        public string Shop { get; set; } = "";

        public double Time { get; set; }

        [VectorType(2)]
        public float[] Both { get; set; } = [];
    }
}
