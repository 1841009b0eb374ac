using System.Text;
using Microsoft.ML.NeuralOde.Samples;
using Spectre.Console;

Console.OutputEncoding = Encoding.UTF8;
using var interruption = new Interruption();
return await App.RunAsync(args, AnsiConsole.Console, Console.Error, interruption.Token);
