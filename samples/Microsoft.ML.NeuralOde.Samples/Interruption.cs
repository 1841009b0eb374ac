using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Samples;

/// <summary>
/// Ctrl-C and SIGTERM as a token: commands end by themselves, so that bars are cleared and files are whole. A second signal ends the
/// process at once, with the cursor where it was.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private const string ShowCursor = "\x1b[?25h";
    private const int Cancelled = 130;

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    public Interruption() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop),
    ];

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        _source.Dispose();
    }

    private void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        if (!_source.IsCancellationRequested)
        {
            _source.Cancel();
            return;
        }
        if (!Console.IsOutputRedirected)
            Console.Out.Write(ShowCursor);
        Console.Error.WriteLine("Stopped.");
        Environment.Exit(Cancelled);
    }
}
