using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>What forecasts are worth, of series whose continuation is known.</summary>
public sealed class ForecastingTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void A_straight_line_goes_on()
    {
        IDataView line = View(Enumerable.Range(5, 100).Select(i => (float)i));
        using LatentOdeForecastingTransformer model = _mlContext.Forecasting.LatentOde("Forecast", "Value", horizon: 8).Fit(line);
        SeriesForecast forecast = model.CreateForecastingEngine().Predict();
        for (int i = 0; i < 8; i++)
            forecast.Values[i].Should().BeApproximately(105 + i, 0.02f * (105 + i));
        forecast.Times.Should().Equal(Enumerable.Range(100, 8).Select(i => (double)i));
    }

    [Fact]
    public void A_sine_with_gaps_goes_on_for_a_period()
    {
        var random = new Random(3);
        IDataView sine =
            View(Enumerable.Range(0, 400).Select(i => random.NextDouble() < 0.15 ? float.NaN : 10 + 3 * MathF.Sin(i * MathF.Tau / 25)));
        LatentOdeForecastingTrainer.Options options = Small(new LatentOdeForecastingTrainer.Options { Horizon = 25 });
        using LatentOdeForecastingTransformer model = _mlContext.Forecasting.LatentOde(options).Fit(sine);
        SeriesForecast forecast = model.CreateForecastingEngine().Predict();
        for (int i = 0; i < 25; i++)
            forecast.Values[i].Should().BeApproximately(10 + 3 * MathF.Sin((400 + i) * MathF.Tau / 25), 0.05f * 3);
    }

    [Fact]
    public void Intervals_cover_what_they_say_and_widen_with_the_level()
    {
        float[] values = Noisy(1200, 5);
        using LatentOdeForecastingTransformer model = _mlContext.Forecasting.LatentOde(Small(new LatentOdeForecastingTrainer.Options
        {
            Horizon = 4,
            ConfidenceLevel = 0.9,
            ConfidenceLowerBoundColumn = "Low",
            ConfidenceUpperBoundColumn = "High",
        })).Fit(View(values.Take(800)));
        Row[] rows = [.. _mlContext.Data.CreateEnumerable<Row>(model.Transform(View(values.Skip(800))), false)];
        int inside = 0, all = 0;
        for (int i = 100; i + 4 < rows.Length; i++)
            for (int step = 0; step < 4; step++, all++)
                inside += rows[i + 1 + step].Value >= rows[i].Low[step] && rows[i + 1 + step].Value <= rows[i].High[step] ? 1 : 0;
        (inside / (double)all).Should().BeInRange(0.84, 0.96);
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        SeriesForecast narrow = engine.Predict(2, 0.5), wide = engine.Predict(2, 0.95);
        narrow.Values.Should().Equal(wide.Values);
        (wide.UpperBounds[0] - wide.LowerBounds[0]).Should().BeGreaterThan(narrow.UpperBounds[0] - narrow.LowerBounds[0]);
    }

    [Fact]
    public void A_forecast_does_not_depend_on_other_series()
    {
        Keyed[] two = [.. Enumerable.Range(0, 80).SelectMany(i => new[]
        {
            new Keyed { Key = "a", Time = i, Value = i % 7 }, new Keyed { Key = "b", Time = 3 * i, Value = 100 - i },
        })];
        LatentOdeForecastingTrainer.Options options = Small(
            new LatentOdeForecastingTrainer.Options { Horizon = 3, TimeColumnName = "Time", SeriesKeyColumnName = "Key" });
        using LatentOdeForecastingTransformer model = _mlContext.Forecasting.LatentOde(options)
            .Fit(_mlContext.Data.LoadFromEnumerable(two));
        float[] together = Last(model, two, "b"), alone = Last(model, [.. two.Where(row => row.Key == "b")], "b");
        together.Should().HaveCount(3);
        for (int i = 0; i < 3; i++)
            together[i].Should().BeApproximately(alone[i], 1e-4f);
        model.SeriesKeys.Should().Equal("a", "b");
        model.CreateForecastingEngine("b").Predict().Times.Should().Equal(240, 243, 246);
        FluentActions.Invoking(() => model.CreateForecastingEngine("c"))
            .Should().Throw<ArgumentException>().WithMessage("*no series 'c'*'a', 'b'*");
        FluentActions.Invoking(() => model.CreateForecastingEngine()).Should().Throw<ArgumentException>().WithMessage("*2 series*");
    }

    [Fact]
    public void A_series_a_row_is_forecast_from_its_end()
    {
        Whole[] rows = [.. Enumerable.Range(1, 6).Select(slope => new Whole
        {
            Times = [.. Enumerable.Range(0, 30 + slope)
                .Select(i => 2.0 * i)], Values = [.. Enumerable.Range(0, 30 + slope).Select(i => (float)slope * i)],
        })];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        LatentOdeForecastingTrainer.Options options =
            Small(new LatentOdeForecastingTrainer.Options { Horizon = 3, TimeColumnName = "Times" });
        options.FeatureColumnName = "Values";
        using LatentOdeForecastingTransformer model = _mlContext.Forecasting.LatentOde(options).Fit(data);
        Whole[] forecast = [.. Read<Whole>(model.Transform(data))];
        for (int slope = 1; slope <= 6; slope++)
            forecast[slope - 1].Forecast![2].Should().BeApproximately(slope * (32 + slope), 0.02f * slope * (32 + slope));
    }

    private float[] Last(LatentOdeForecastingTransformer model, Keyed[] rows, string key) =>
        Read<Keyed>(model.Transform(_mlContext.Data.LoadFromEnumerable(rows))).Last(row => row.Key == key).Forecast!;

    private IEnumerable<T> Read<T>(IDataView data)
        where T : class, new() => _mlContext.Data.CreateEnumerable<T>(data, false);

    internal static LatentOdeForecastingTrainer.Options Small(LatentOdeForecastingTrainer.Options options)
    {
        options.FeatureColumnName = "Value";
        options.NumberOfEpochs = 2;
        options.MaximumWindows = 256;
        options.LatentSize = 4;
        options.HiddenSize = 8;
        options.Seed = 1;
        return options;
    }

    internal static float[] Noisy(int count, int seed)
    {
        var random = new Random(seed);
        double state = 0;
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            double noise = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble());
            state = 0.7 * state + noise;
            return (float)(50 + state + 5 * Math.Sin(i * Math.Tau / 12));
        })];
    }

    private IDataView View(IEnumerable<float> values) =>
        _mlContext.Data.LoadFromEnumerable(values.Select(value => new Number { Value = value }).ToArray());

    private sealed class Number
    {
        public float Value { get; set; }
    }

    private sealed class Row
    {
        public float Value { get; set; }

        public float[] Forecast { get; set; } = [];

        public float[] Low { get; set; } = [];

        public float[] High { get; set; } = [];
    }

    private sealed class Keyed
    {
        public string Key { get; set; } = "";

        public double Time { get; set; }

        public float Value { get; set; }

        [VectorType(3)]
        public float[]? Forecast { get; set; } = new float[3];
    }

    private sealed class Whole
    {
        public double[] Times { get; set; } = [];

        public float[] Values { get; set; } = [];

        [VectorType(3)]
        public float[]? Forecast { get; set; } = new float[3];
    }
}
