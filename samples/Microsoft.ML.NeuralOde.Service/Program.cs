using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Service;
using Microsoft.ML.NeuralOde.Service.Settings;

try
{
    await using WebApplication app = PredictionService.Create(args);
    await app.RunAsync();
    return 0;
}
catch (Exception exception) when (exception is ModelFileException
    or SettingsException or TorchRuntimeException or IOException or FormatException)
{
    await Console.Error.WriteLineAsync($"Error: {exception.Message}");
    return 1;
}
