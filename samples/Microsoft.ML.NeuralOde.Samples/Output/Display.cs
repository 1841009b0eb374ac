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
    private readonly IAnsiConsole? _copy;

    public Display(IAnsiConsole console)
        : this(console, null)
    {
    }

    /// <param name="console">Where the user reads.</param>
    /// <param name="copy">Takes lines and tables, too; null for nobody.</param>
    private Display(IAnsiConsole console, TextWriter? copy)
    {
        _console = console;
        _copy = copy is null ? null : Plain(copy);
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
        _copy?.Profile.Out.Writer.WriteLine(text);
    }

    public void Table(Table table)
    {
        _console.Write(table);
        _copy?.Write(table);
    }

    /// <summary>Does something, and writes what is said meanwhile to a file as well.</summary>
    /// <param name="file">The file, which is written when all is done; null for none.</param>
    /// <param name="act">What is to be done.</param>
    public void Copy(OutputFile? file, Action<Display> act)
    {
        if (file is null)
        {
            act(this);
            return;
        }
        var text = new StringWriter();
        act(new Display(_console, text));
        file.Write(text.ToString());
    }

    /// <summary>Runs work that reports its share done, 0 to 1.</summary>
    public T Progress<T>(string title, Func<Action<double>, T> work) =>
        IsInteractive ? Bar().Start(context => work(Reporter(context, title))) : work(_ => { });

    /// <inheritdoc cref="Progress{T}"/>
    public Task<T> ProgressAsync<T>(string title, Func<Action<double>, Task<T>> work) =>
        IsInteractive ? Bar().StartAsync(context => work(Reporter(context, title))) : work(_ => { });

    private static IAnsiConsole Plain(TextWriter writer)
    {
        IAnsiConsole console = AnsiConsole.Create(
            new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer), Ansi = AnsiSupport.No, Interactive = InteractionSupport.No });
        console.Profile.Width = PlainWidth;
        return console;
    }

    private Progress Bar() => _console.Progress().AutoClear(true)
        .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn());

    private static Action<double> Reporter(ProgressContext context, string title)
    {
        ProgressTask task = context.AddTask(Markup.Escape(title), maxValue: 1);
        return share => task.Value = share;
    }
}
