using System.Text;
using Microsoft.ML.NeuralOde.Samples;
using Spectre.Console;

Console.OutputEncoding = Encoding.UTF8;
return await App.RunAsync(args, AnsiConsole.Console, Console.Error);
