using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>Forecasts of several channels, whose continuation is known.</summary>
public sealed class ChannelForecastingTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Each_channel_goes_on_whatever_form_it_comes_in()
    {
        Both[] rows = [.. Enumerable.Range(0, 120).Select(At)];
        IDataView data = _mlContext.Data.LoadFromEnumerable(rows);
        LatentOdeForecastingTrainer.Options columns = Options(), vector = Options(), series = Options();
        columns.ChannelColumnNames = ["Rising", "Turning"];
        vector.FeatureColumnName = "Together";
        series.ChannelColumnNames = ["Risings", "Turnings"];
        series.TimeColumnName = "Times";
        var whole = new Whole
        {
            Times = [.. rows.Select(row => row.Time)],
            Risings = [.. rows.Select(row => row.Rising)],
            Turnings = [.. rows.Select(row => row.Turning)],
        };
        using LatentOdeForecastingTransformer first = Fit(columns, data), second = Fit(vector, data),
            third = Fit(series, _mlContext.Data.LoadFromEnumerable([whole]));
        first.ChannelNames.Should().Equal("Rising", "Turning");
        second.ChannelNames.Should().Equal("Together[0]", "Together[1]");
        SeriesForecast expected = first.CreateForecastingEngine().Predict();
        Continues(expected);
        foreach (LatentOdeForecastingTransformer other in (LatentOdeForecastingTransformer[])[second, third])
        {
            SeriesForecast found = other.CreateForecastingEngine().Predict();
            found.Values.Should().Equal(expected.Values);
            found.UpperBounds.Should().Equal(expected.UpperBounds);
        }
    }

    [Fact]
    public void What_an_engine_says_of_channels_is_what_the_data_say()
    {
        LatentOdeForecastingTrainer.Options options = Options();
        options.FeatureColumnName = "Together";
        options.ConfidenceLowerBoundColumn = "Low";
        Both[] rows = [.. Enumerable.Range(0, 121).Select(At)];
        using LatentOdeForecastingTransformer model = Fit(options, _mlContext.Data.LoadFromEnumerable(rows[..120]));
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        SeriesForecast after = engine.Predict(new SeriesObservation([rows[120].Rising, rows[120].Turning], rows[120].Time));
        IDataView scored = model.Transform(_mlContext.Data.LoadFromEnumerable(rows));
        ((VectorDataViewType)scored.Schema["Forecast"].Type).Dimensions.Should().Equal(4, 2);
        scored.GetColumn<float[]>("Forecast").Last().Zip(after.Values, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);
        scored.GetColumn<float[]>("Low").Last().Zip(after.LowerBounds, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);

        // A channel that is missing in an observation does not stop the other.
        engine.Observe(new SeriesObservation([At(121).Rising, float.NaN], 242));
        Continues(engine.Predict(), 122, 0.1f);
    }

    [Fact]
    public void Asked_times_lie_between_those_of_steps()
    {
        using LatentOdeForecastingTransformer model = FitRising();
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        SeriesForecast steps = engine.Predict(), asked = engine.Predict([239, 240, 243.5, 246]);
        asked.Times.Should().Equal(239, 240, 243.5, 246);
        asked.Values[1].Should().Be(steps.Values[0]);
        asked.Values[3].Should().Be(steps.Values[3]);
        for (int i = 0; i < 4; i++)
            asked.Values[i].Should().BeApproximately((float)(5 + asked.Times[i] / 2), 0.02f * 125);
        asked.UpperBounds.Zip(asked.LowerBounds, (high, low) => high >= low).Should().NotContain(false);
        Refused<ArgumentException>(() => engine.Predict([238]), "*time that is asked for is 238, after 238*");
        Refused<ArgumentException>(() => engine.Predict([240, 240]), "*is 240, after 240*");
        Refused<ArgumentException>(() => engine.Predict([double.NaN]), "*is NaN*");
        Refused<ArgumentException>(() => engine.Predict([246.5]), "*is 246.5*Horizon of 4*ends at 246*");
        Refused<ArgumentException>(() => engine.Predict([]), "*No time*");
    }

    [Fact]
    public void A_series_that_is_silent_for_long_is_not_forecast()
    {
        using LatentOdeForecastingTransformer model = FitRising();
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        engine.Observe(new SeriesObservation(float.NaN));
        engine.Observe(new SeriesObservation(float.NaN));
        engine.Predict().Values[3].Should().BeApproximately(5 + 125, 0.02f * 130);
        engine.Observe(new SeriesObservation(float.NaN));
        engine.Predict(3).Values.Should().HaveCount(3);
        Refused<InvalidOperationException>(() => engine.Predict(), "*last value lies 7 steps before*at most 6*");
        Both[] silent = [.. Enumerable.Range(0, 123).Select(At)];
        foreach (Both row in silent[120..])
            row.Rising = float.NaN;
        float[] last = model.Transform(_mlContext.Data.LoadFromEnumerable(silent)).GetColumn<float[]>("Forecast").Last();
        last.Select(float.IsNaN).Should().Equal(false, false, false, true);
    }

    [Fact]
    public void What_makes_no_sense_of_channels_is_named()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 60).Select(At).ToArray());
        LatentOdeForecastingTrainer.Options options = Options();
        options.FeatureColumnName = "Together";
        using LatentOdeForecastingTransformer model = Fit(options, data);
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation(1)), "*has 1 value; the series has 2 channels*Values*");
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation([1, 2, 3])), "*has 3 values; the series has 2 channels*");
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation([1, float.PositiveInfinity])), "*Infinity*finite*");
        Refused<ArgumentOutOfRangeException>(() => engine.Predict().Channel(2), "*channels 0 to 1*");

        IDataView three = _mlContext.Data.LoadFromEnumerable((Three[])[new()]);
        Refused<ArgumentOutOfRangeException>(() => model.Transform(three), "*'Together'*");
        options.ChannelCount = 3;
        Refused<ArgumentOutOfRangeException>(() => Fit(options, data), "*'Together'*");
        options.ChannelCount = null;
        options.ChannelColumnNames = ["Rising", "Together"];
        Refused<ArgumentOutOfRangeException>(() => Fit(options, data), "*'Together'*");
        options.ChannelColumnNames = ["Rising", "Rising"];
        Refused<ArgumentOutOfRangeException>(() => Fit(options, data), "*ChannelColumnNames*different names*");

        options.ChannelColumnNames = ["Rising", "Turning"];
        options.ExogenousColumnNames = ["Time", "Turning"];
        Refused<ArgumentOutOfRangeException>(() => Fit(options, data), "*ExogenousColumnNames is Turning*another column than those of values*");
        options.ExogenousColumnNames = null;
        LatentOdeForecastingTrainer.Options large = Options();
        (large.FeatureColumnName, large.ContextLength, large.Horizon) = ("Many", 4096, 40);
        Refused<InvalidOperationException>(
            () => Fit(large, _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(i => new Wide { Time = i }).ToArray())),
            "*4096 observations of 64 channels*40 steps*weights*ContextLength or Horizon smaller*");

        Both[] empty = [.. Enumerable.Range(0, 60).Select(At)];
        foreach (Both row in empty)
            row.Turning = float.NaN;
        options.ChannelColumnNames = ["Rising", "Turning"];
        Refused<InvalidOperationException>(
            () => Fit(options, _mlContext.Data.LoadFromEnumerable(empty)), "*'Turning' has no value: all are missing*");
        LatentOdeForecastingTrainer.Options series = Options();
        series.ChannelColumnNames = ["Risings", "Turnings"];
        series.TimeColumnName = "Times";
        Whole[] uneven = [new() { Times = [0, 1], Risings = [1, 2], Turnings = [1] }];
        Refused<InvalidOperationException>(
            () => Fit(series, _mlContext.Data.LoadFromEnumerable(uneven)), "*row 0*'Turnings' has 1 values and 'Risings' 2*");
    }

    private static void Continues(SeriesForecast forecast, int from = 120, float share = 0.05f)
    {
        SeriesForecast rising = forecast.Channel(0), turning = forecast.Channel(1);
        for (int i = 0; i < 4; i++)
        {
            Both expected = At(from + i);
            rising.Values[i].Should().BeApproximately(expected.Rising, 0.02f * expected.Rising);
            turning.Values[i].Should().BeApproximately(expected.Turning, share * 3);
        }
    }

    private static Both At(int i) => new()
    {
        Time = 2 * i,
        Rising = 5 + i,
        Turning = 10 + 3 * MathF.Sin(i * MathF.Tau / 12),
        Together = [5 + i, 10 + 3 * MathF.Sin(i * MathF.Tau / 12)],
    };

    /// <summary>A forecaster of the one channel alone.</summary>
    private LatentOdeForecastingTransformer FitRising()
    {
        LatentOdeForecastingTrainer.Options options = Options();
        options.FeatureColumnName = "Rising";
        return Fit(options, _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(At).ToArray()));
    }

    private LatentOdeForecastingTransformer Fit(LatentOdeForecastingTrainer.Options options, IDataView data) =>
        _mlContext.Forecasting.LatentOde(options).Fit(data);

    private static LatentOdeForecastingTrainer.Options Options() =>
        ForecastingTests.Small(new LatentOdeForecastingTrainer.Options { Horizon = 4, TimeColumnName = "Time" });

    private static void Refused<TException>(Action action, string message)
        where TException : Exception => action.Should().Throw<TException>().WithMessage(message);

    private sealed class Both
    {
        public double Time { get; set; }

        public float Rising { get; set; }

        public float Turning { get; set; }

        [VectorType(2)]
        public float[] Together { get; set; } = [];
    }

    private sealed class Three
    {
        public double Time { get; set; }

        [VectorType(3)]
        public float[] Together { get; set; } = [1, 2, 3];
    }

    private sealed class Wide
    {
        public double Time { get; set; }

        [VectorType(64)]
        public float[] Many { get; set; } = new float[64];
    }

    private sealed class Whole
    {
        public double[] Times { get; set; } = [];

        public float[] Risings { get; set; } = [];

        public float[] Turnings { get; set; } = [];
    }
}
