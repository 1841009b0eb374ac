using System.Text;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Recipes;

/// <summary>
/// Takes what one flow of control, with all that it starts, writes to the console; the rest of the process goes on writing where it did.
/// </summary>
internal sealed class RoutedConsole : IDisposable
{
    private static readonly AsyncLocal<StringWriter?> Current = new();
    private static readonly Lock Installing = new();
    private static bool _installed;

    private readonly StringWriter _text = new();

    private RoutedConsole()
    {
    }

    public string Text => _text.ToString();

    public static RoutedConsole Capture()
    {
        lock (Installing)
        {
            if (!_installed)
                Console.SetOut(TextWriter.Synchronized(new Router(Console.Out)));
            _installed = true;
        }
        var console = new RoutedConsole();
        Current.Value = console._text;
        return console;
    }

    public void Dispose() => Current.Value = null;

    private sealed class Router(TextWriter others) : TextWriter
    {
        public override Encoding Encoding => others.Encoding;

        public override void Write(char value) => (Current.Value ?? others).Write(value);

        public override void Write(string? value) => (Current.Value ?? others).Write(value);
    }
}
