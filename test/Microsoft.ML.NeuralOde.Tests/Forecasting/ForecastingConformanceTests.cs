namespace Microsoft.ML.NeuralOde.Tests.Forecasting;

/// <summary>The trainer of forecasters is what ML.NET expects of an estimator.</summary>
public sealed class ForecastingConformanceTests
{
    [Fact]
    public void It_is_an_estimator()
    {
        var mlContext = new MLContext(1);
        IDataView data = mlContext.Data.LoadFromEnumerable(ForecastingTests.Noisy(60, 2)
            .Select((value, i) => new Observation { Key = i % 2 == 0 ? "a" : "b", Time = i, Value = value }).ToArray());
        LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(new LatentOdeForecastingTrainer.Options
        {
            Horizon = 2,
            TimeColumnName = "Time",
            SeriesKeyColumnName = "Key",
            ConfidenceLowerBoundColumn = "Low",
            ConfidenceUpperBoundColumn = "High",
        });
        Conformance.Conformance.Check(
            mlContext, mlContext.Forecasting.LatentOde(options), data,
            [Without("Value"), Without("Time"), Without("Key"),
                mlContext.Transforms.CopyColumns("Value", "Key").Fit(data).Transform(data)]);

        IDataView Without(string column) => mlContext.Transforms.DropColumns(column).Fit(data).Transform(data);
    }

    [Fact]
    public void It_is_one_with_channels_and_exogenous_values()
    {
        var mlContext = new MLContext(1);
        IDataView data = mlContext.Data.LoadFromEnumerable(ForecastingTests.Noisy(60, 2)
            .Select((value, i) => new Observation { Time = i, Value = value, Other = -value, Holiday = i % 5 }).ToArray());
        LatentOdeForecastingTrainer.Options options = ForecastingTests.Small(new LatentOdeForecastingTrainer.Options
        {
            Horizon = 2,
            TimeColumnName = "Time",
            ChannelColumnNames = ["Value", "Other"],
            ExogenousColumnNames = ["Holiday"],
            ConfidenceLowerBoundColumn = "Low",
        });
        Conformance.Conformance.Check(
            mlContext, mlContext.Forecasting.LatentOde(options), data,
            [.. ((string[])["Value", "Other", "Time", "Holiday"]).Select(
                column => mlContext.Transforms.DropColumns(column).Fit(data).Transform(data))]);
    }

    private sealed class Observation
    {
        public string Key { get; set; } = "";

        public float Time { get; set; }

        public float Value { get; set; }

        public float Other { get; set; }

        public float Holiday { get; set; }
    }
}
