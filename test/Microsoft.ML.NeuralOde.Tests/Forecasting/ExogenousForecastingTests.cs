using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>A forecaster of values that follow exogenous ones, trained once: y = 20 + t / 4 + 6 x, x drawn anew at each time.</summary>
public sealed class SmallExogenousForecaster : IDisposable
{
    public SmallExogenousForecaster()
    {
        Rows = [.. Enumerable.Range(0, 160).Select(At)];
        Model = Context.Forecasting.LatentOde(Options()).Fit(Context.Data.LoadFromEnumerable(Rows[..150]));
    }

    public MLContext Context { get; } = new(1);

    internal Day[] Rows { get; }

    public LatentOdeForecastingTransformer Model { get; }

    public void Dispose() => Model.Dispose();

    internal static LatentOdeForecastingTrainer.Options Options()
    {
        LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(new LatentOdeForecastingTrainer.Options
        {
            Horizon = 4,
            TimeColumnName = "Time",
            ExogenousColumnNames = ["Promotion"],
            ConfidenceUpperBoundColumn = "High",
        });
        options.FeatureColumnName = "Sales";
        return options;
    }

    internal static Day At(int i)
    {
        float promotion = new Random(i).Next(3);
        return new Day { Time = i, Promotion = promotion, Sales = Sales(i, promotion) };
    }

    internal static float Sales(double time, double promotion) => (float)(20 + time / 4 + 6 * promotion);

    internal sealed class Day
    {
        public string Key { get; set; } = "a";

        public double Time { get; set; }

        public float Promotion { get; set; }

        public float Sales { get; set; }
    }
}

/// <summary>Forecasts that follow what is known of the times to come.</summary>
public sealed class ExogenousForecastingTests(SmallExogenousForecaster small) : IClassFixture<SmallExogenousForecaster>
{
    // 5 % of what a step of the exogenous value changes.
    private const float Close = 0.3f;

    [Fact]
    public void An_engine_follows_what_it_is_told()
    {
        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        foreach (float[] told in (float[][])[[0, 2, 0, 1], [2, 2, 2, 2], [1, 0, 0, 2]])
        {
            SeriesForecast found = engine.Predict(new SeriesFuture { Exogenous = [.. told.Select(value => (float[])[value])] });
            for (int i = 0; i < 4; i++)
                found.Values[i].Should().BeApproximately(SmallExogenousForecaster.Sales(150 + i, told[i]), Close);
        }
        SeriesForecast between = engine.Predict(new SeriesFuture { Times = [150, 151.5, 152], Exogenous = [[0], [3], [4]] });
        between.Times.Should().Equal(150, 151.5, 152);
        between.Values[0].Should().BeApproximately(SmallExogenousForecaster.Sales(150, 0), Close);
        between.Values[1].Should().BeApproximately(SmallExogenousForecaster.Sales(151.5, 3), Close);
    }

    [Fact]
    public void Rows_follow_the_rows_behind_them()
    {
        IDataView scored = small.Model.Transform(small.Context.Data.LoadFromEnumerable(small.Rows));
        float[][] forecasts = [.. scored.GetColumn<float[]>("Forecast")];
        for (int i = 100; i < 156; i++)
            for (int step = 0; step < 4; step++)
                forecasts[i][step].Should().BeApproximately(small.Rows[i + 1 + step].Sales, Close);
        // What is not known any more is not forecast.
        forecasts[157].Select(float.IsNaN).Should().Equal(false, false, true, true);
        scored.GetColumn<float[]>("High").ElementAt(157).Select(float.IsNaN).Should().Equal(false, false, true, true);

        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        engine.Observe(new SeriesObservation(small.Rows[150].Sales, 150) { Exogenous = [small.Rows[150].Promotion] });
        engine.Predict(new SeriesFuture { Exogenous = [.. small.Rows[151..155].Select(row => (float[])[row.Promotion])] })
            .Values.Zip(forecasts[150], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-3f);
    }

    [Fact]
    public void Rows_of_the_future_in_the_training_data_are_known_to_engines_and_checkpoints()
    {
        SmallExogenousForecaster.Day[] rows = [.. Enumerable.Range(0, 160).Select(SmallExogenousForecaster.At)];
        foreach (SmallExogenousForecaster.Day row in rows[150..])
            row.Sales = float.NaN;
        using LatentOdeForecastingTransformer model =
            small.Context.Forecasting.LatentOde(SmallExogenousForecaster.Options()).Fit(small.Context.Data.LoadFromEnumerable(rows));
        NeuralOdeForecastingEngine engine = model.CreateForecastingEngine();
        SeriesForecast next = engine.Predict();
        next.Times.Should().Equal(150, 151, 152, 153);
        for (int i = 0; i < 4; i++)
            next.Values[i].Should().BeApproximately(small.Rows[150 + i].Sales, Close);
        string path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"{Guid.NewGuid():N}.zip");
        try
        {
            SeriesForecast expected = engine.Predict(new SeriesObservation(small.Rows[150].Sales));
            engine.CheckPoint(path);
            using var loaded = (LatentOdeForecastingTransformer)new MLContext().Model.Load(path, out _);
            loaded.ExogenousColumnNames.Should().Equal("Promotion");
            loaded.CreateForecastingEngine().Predict().Values.Should().Equal(expected.Values);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Series_a_row_go_on_with_exogenous_values_alone()
    {
        Whole[] series = [.. Enumerable.Range(0, 4).Select(start => new Whole
        {
            Times = [.. Enumerable.Range(0, 64).Select(i => (double)i)],
            Promotions = [.. Enumerable.Range(0, 64).Select(i => SmallExogenousForecaster.At(start * 100 + i).Promotion)],
            Sales = [.. Enumerable.Range(0, 64).Select(
                i => i < 60 ? SmallExogenousForecaster.At(start * 100 + i).Sales : float.NaN)],
        })];
        LatentOdeForecastingTrainer.Options options = SmallExogenousForecaster.Options();
        options.TimeColumnName = "Times";
        options.ExogenousColumnNames = ["Promotions"];
        IDataView data = small.Context.Data.LoadFromEnumerable(series);
        using LatentOdeForecastingTransformer model = small.Context.Forecasting.LatentOde(options).Fit(data);
        float[][] forecasts = Forecasts(model, data);
        for (int start = 0; start < 4; start++)
            for (int i = 0; i < 4; i++)
                forecasts[start][i].Should().BeApproximately(SmallExogenousForecaster.At(start * 100 + 60 + i).Sales, Close);
        // A row has all that its forecast needs.
        using PredictionEngine<Whole, Forecast> engine = small.Context.Model.CreatePredictionEngine<Whole, Forecast>(model);
        engine.Predict(series[2]).Values.Should().Equal(forecasts[2]);
        series[1].Promotions = series[1].Promotions[..60];
        Refused<InvalidOperationException>(
            () => Forecasts(model, small.Context.Data.LoadFromEnumerable(series)), "*row 1*");
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        NeuralOdeForecastingEngine engine = small.Model.CreateForecastingEngine();
        Refused<InvalidOperationException>(() => engine.Predict(), "*'Promotion' are known until 149*not at 150*SeriesFuture*");
        Refused<ArgumentException>(() => engine.Observe(new SeriesObservation(3)), "*needs exogenous values*'Promotion'*");
        Refused<ArgumentException>(
            () => engine.Observe(new SeriesObservation(3) { Exogenous = [1, 2] }), "*2 exogenous values for the 1 columns 'Promotion'*");
        Refused<ArgumentException>(() => engine.Predict(new SeriesFuture { Exogenous = [[float.NaN]] }), "*'Promotion' is NaN*");
        Refused<ArgumentException>(
            () => engine.Predict(new SeriesFuture { Times = [151, 152], Exogenous = [[1]] }), "*1 arrays*2 times*");
        Refused<ArgumentOutOfRangeException>(
            () => engine.Predict(new SeriesFuture { Exogenous = [[1], [1], [1], [1], [1]] }), "*is 5*from 1 to 4*");
        Refused<ArgumentOutOfRangeException>(() => engine.Predict(new SeriesFuture { Exogenous = [] }), "*is 0*");
        engine.Predict(new SeriesFuture { Exogenous = [[1]] }).Values.Should().HaveCount(1);

        IDataView data = small.Context.Data.LoadFromEnumerable(small.Rows);
        IDataView without = small.Context.Transforms.DropColumns("Promotion").Fit(data).Transform(data);
        Refused<ArgumentOutOfRangeException>(() => small.Model.Transform(without), "*'Promotion'*");
        Refused<ArgumentOutOfRangeException>(
            () => small.Context.Forecasting.LatentOde(SmallExogenousForecaster.Options()).Fit(without), "*'Promotion'*");
        SmallExogenousForecaster.Day[] gap = [.. Enumerable.Range(0, 60).Select(SmallExogenousForecaster.At)];
        gap[41].Promotion = float.NaN;
        Refused<InvalidOperationException>(
            () => small.Context.Forecasting.LatentOde(SmallExogenousForecaster.Options())
                .Fit(small.Context.Data.LoadFromEnumerable(gap)), "*row 41*'Promotion' is NaN*");
        Refused<InvalidOperationException>(
            () => Forecasts(small.Model, small.Context.Data.LoadFromEnumerable(gap)),
            "*row 41*'Promotion' is NaN*");
        FluentActions.Invoking(
            () => small.Context.Model.CreatePredictionEngine<SmallExogenousForecaster.Day, Forecast>(small.Model).Predict(small.Rows[0]))
            .Should().Throw<Exception>().Which.GetBaseException().Message
            .Should().Match("*exogenous values to come*'Promotion'*CreateForecastingEngine*");
    }

    private static float[][] Forecasts(LatentOdeForecastingTransformer model, IDataView data) =>
        [.. model.Transform(data).GetColumn<float[]>("Forecast")];

    private static void Refused<TException>(Action action, string message)
        where TException : Exception => action.Should().Throw<TException>().WithMessage(message);

    private sealed class Whole
    {
        public double[] Times { get; set; } = [];

        public float[] Promotions { get; set; } = [];

        public float[] Sales { get; set; } = [];
    }

    private sealed class Forecast
    {
        [ColumnName("Forecast")]
        public float[] Values { get; set; } = [];
    }
}
