using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>
/// What the user sees: lines, tables, and a progress bar where there is a terminal to move it in. Redirected output has plain lines
/// only, none of them wrapped.
/// </summary>
internal sealed class Display
{
    /// <summary>Tables in a file need not be squeezed into a terminal's width.</summary>
    private const int PlainWidth = 160;

    private readonly IAnsiConsole _console;

    public Display(IAnsiConsole console)
    {
        _console = console;
        // Some build servers are taken for terminals; their logs are files all the same.
        if (IsInteractive)
            return;
        console.Profile.Capabilities.Ansi = false;
        console.Profile.Width = Math.Max(console.Profile.Width, PlainWidth);
    }

    private bool IsInteractive => _console.Profile.Out.IsTerminal && _console.Profile.Capabilities is { Ansi: true, Interactive: true };

    /// <summary>Writes a line of plain text.</summary>
    public void Line(string text = "")
    {
        if (IsInteractive)
            _console.WriteLine(text); // Puts it above a running bar.
        else
            _console.Profile.Out.Writer.WriteLine(text);
    }

    public void Table(Table table) => _console.Write(table);

    /// <summary>Runs work that reports its share done, 0 to 1.</summary>
    public T Progress<T>(string title, Func<Action<double>, T> work) =>
        IsInteractive ? Bar().Start(context => work(Reporter(context, title))) : work(_ => { });

    /// <inheritdoc cref="Progress{T}"/>
    public Task<T> ProgressAsync<T>(string title, Func<Action<double>, Task<T>> work) =>
        IsInteractive ? Bar().StartAsync(context => work(Reporter(context, title))) : work(_ => { });

    private Progress Bar() => _console.Progress().AutoClear(true)
        .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn());

    private static Action<double> Reporter(ProgressContext context, string title)
    {
        ProgressTask task = context.AddTask(Markup.Escape(title), maxValue: 1);
        return share => task.Value = share;
    }
}
