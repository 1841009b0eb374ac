using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.ModelHost;

// Usage: MODEL forecast KEY prints what a forecaster says of a series. MODEL X Y [DYNAMICS]: knows the class Damping by the name
// DYNAMICS, where it is given. Prints the predicted label and the scores of the point (X, Y); an exception's type and message on failure.
try
{
    var mlContext = new MLContext();
    if (args.Length > 3)
        mlContext.ComponentCatalog.RegisterDynamics(NeuralOdeDynamics.FromModule(args[3], size => new Damping(size)));
    ITransformer model = mlContext.Model.Load(args[0], out _);
    if (args[1] == "forecast")
    {
        SeriesForecast forecast = ((LatentOdeForecastingTransformer)model).CreateForecastingEngine(args[2]).Predict();
        Console.WriteLine(string.Join(" ", forecast.Values.Select(value => value.ToString("R", CultureInfo.InvariantCulture))));
        return 0;
    }
    using PredictionEngine<Point, Prediction> engine = mlContext.Model.CreatePredictionEngine<Point, Prediction>(model);
    var point = new Point
    {
        Features =
        [float.Parse(args[1], CultureInfo.InvariantCulture), float.Parse(args[2], CultureInfo.InvariantCulture)]
    };
    Prediction prediction = engine.Predict(point);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{prediction.PredictedLabel}|{string.Join(" ", prediction.Score.Select(s => s.ToString("R", CultureInfo.InvariantCulture)))}"));
    return 0;
}
catch (Exception exception)
{
    // ML.NET calls loaders by reflection, which wraps what they throw.
    Exception cause = exception.GetBaseException();
    Console.WriteLine($"{cause.GetType().Name}: {cause.Message}");
    return 1;
}

internal sealed class Point
{
    [VectorType(2)]
    public float[] Features { get; set; } = [];

    public string Label { get; set; } = "";
}

internal sealed class Prediction
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}
