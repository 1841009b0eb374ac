#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Forecast with gaps: two channels, every seventh value of one of them missing, four days ahead.
using Microsoft.ML;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
Day[] days = [.. Enumerable.Range(0, 140).Select(i => new Day { Date = Day.Of(i), Trend = 20 + i / 4f, Week = i % 7 == 3 ? float.NaN : 10 + 3 * MathF.Sin(i * MathF.Tau / 7) })];
using var model = mlContext.Forecasting.LatentOde(new LatentOdeForecastingTrainer.Options
{
    TimeColumnName = "Date", ChannelColumnNames = ["Trend", "Week"], Horizon = 4, NumberOfEpochs = 2, MaximumWindows = 128,
}).Fit(mlContext.Data.LoadFromEnumerable(days));
SeriesForecast next = model.CreateForecastingEngine().Predict();
for (int i = 0; i < 4; i++)
    Console.WriteLine($"{next.Dates()[i]:yyyy-MM-dd}: trend {next.Channel(0).Values[i]:F1} (true {20 + (140 + i) / 4.0:F1}), week {next.Channel(1).Values[i]:F1} (true {10 + 3 * Math.Sin((140 + i) * Math.Tau / 7):F1})");

class Day
{
    public DateTime Date { get; set; }
    public float Trend { get; set; }
    public float Week { get; set; }

    public static DateTime Of(int i) => new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddDays(i);
}
