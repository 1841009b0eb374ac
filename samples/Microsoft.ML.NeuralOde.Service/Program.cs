using Microsoft.ML.NeuralOde.Service;

try
{
    await using WebApplication app = PredictionService.Create(args);
    await app.RunAsync();
    return 0;
}
catch (ModelFileException exception)
{
    await Console.Error.WriteLineAsync($"Error: {exception.Message}");
    return 1;
}
