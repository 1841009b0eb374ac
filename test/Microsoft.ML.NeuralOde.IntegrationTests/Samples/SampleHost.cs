using Microsoft.ML.NeuralOde.Samples;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>Runs the sample program as a script would: output redirected, in a work folder of its own.</summary>
internal sealed class SampleHost : IDisposable
{
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();

    public SampleHost()
    {
        Console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(_output) });
        Display = new Display(Console);
    }

    public string WorkFolder { get; } = Directory.CreateTempSubdirectory("neural-ode-sample-").FullName;

    public IAnsiConsole Console { get; }

    public Display Display { get; }

    public string Output => _output.ToString();

    public string Error => _error.ToString();

    public string PathOf(string name) => Path.Combine(WorkFolder, name);

    public Task<int> RunAsync(params string[] args) => App.RunAsync(args, Console, _error);

    public void Dispose()
    {
        Directory.Delete(WorkFolder, recursive: true);
        _output.Dispose();
        _error.Dispose();
    }
}
