#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Forecast with an exogenous value: sales follow promotions, of which those to come are known.
using Microsoft.ML;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Day[] days = [.. Enumerable.Range(0, 150).Select(i => random.Next(2) is var promotion ? new Day { Promotion = promotion, Sales = 20 + i / 10f + 6 * promotion } : null!)];
using var model = mlContext.Forecasting.LatentOde(new LatentOdeForecastingTrainer.Options
{
    FeatureColumnName = "Sales", ExogenousColumnNames = ["Promotion"], Horizon = 3, NumberOfEpochs = 2, MaximumWindows = 128,
}).Fit(mlContext.Data.LoadFromEnumerable(days));
using var engine = model.CreateForecastingEngine<Day, Ahead>();
foreach (float[] plan in (float[][])[[0, 0, 0], [0, 1, 1]])
    Console.WriteLine($"promotions {string.Join(", ", plan)}: sales {string.Join(", ", engine.Predict([.. plan.Select(promotion => new Day { Promotion = promotion })]).Forecast.Select(value => $"{value:F1}"))}");

class Day
{
    public float Promotion { get; set; }
    public float Sales { get; set; }
}

class Ahead
{
    public float[] Forecast { get; set; } = [];
}
