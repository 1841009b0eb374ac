using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Serving;

/// <summary>The command <c>scoring</c>: how fast a trained model answers, from vectors in memory.</summary>
internal static class ScoringCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<int> rows = CommandOptions.Positive("--rows", 10_000, "Rows to score.");
        Option<int> seconds = CommandOptions.Positive("--seconds", 10, "Duration of the test with eight threads.");
        Option<string?> model = CommandOptions.Path(
            "--model", "FILE", "A saved model to measure. Without it, a reference model learns the embedded digits first.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> save = CommandOptions.Path("--save", "FILE", "Keep that reference model in a new file, for the service.");
        Option<string?> json = CommandOptions.Json();
        Option<string?> markdown =
            CommandOptions.Product("--markdown", "Write the figures into this document, instead of those that stand there.");
        var command =
            new System.CommandLine.Command("scoring", "Measure how fast a model answers.")
            {
                rows, seconds, model, save, seed, json, markdown,
            };
        command.Validators.Add(result =>
        {
            if (result.GetValue(model) is not null && result.GetValue(save) is not null)
                result.AddError("--save keeps the model that is trained where no --model is given; one of them would be right.");
        });
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                OutputFile? saveFile = OutputFile.At("--save", result.GetValue(save), mayExist: false);
                OutputFile? jsonFile = OutputFile.At("--json", result.GetValue(json)),
                    document = OutputFile.At("--markdown", result.GetValue(markdown));
                var measurement =
                    new ScoringMeasurement(
                        result.GetValue(rows), TimeSpan.FromSeconds(result.GetValue(seconds)), result.GetValue(seed), display, token);
                ScoringFigure[] figures = result.GetValue(model) is { } file
                    ? measurement.OfModel(file) : measurement.OfReference(saveFile);
                display.Table(Table(figures));
                jsonFile?.WriteJson(new { figures }, Format);
                if (document is not null)
                    DocumentSection.Write(document.FullPath, "scoring", Document(figures, result.GetValue(rows)));
            },
            token));
        return command;
    }

    private static Table Table(IEnumerable<ScoringFigure> figures)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("what", "value", "unit");
        foreach (ScoringFigure figure in figures)
            table.AddRow(Markup.Escape(figure.Name), Number(figure.Value), Markup.Escape(figure.Unit));
        return table;
    }

    private static string Document(IEnumerable<ScoringFigure> figures, int rows)
    {
        var text = new StringBuilder();
        text.Append(string.Create(CultureInfo.InvariantCulture, $"""
            {rows:N0} rows, by `dotnet run -c Release --project samples/Microsoft.ML.NeuralOde.Samples -- scoring --markdown docs/performance.md` on
            {RuntimeInformation.OSDescription}, {Environment.ProcessorCount} processors, {RuntimeInformation.FrameworkDescription}.

            | what | value | unit |
            |---|---:|---|

            """).ReplaceLineEndings("\n"));
        foreach (ScoringFigure figure in figures)
            text.Append(CultureInfo.InvariantCulture, $"| {figure.Name} | {Number(figure.Value)} | {figure.Unit} |\n");
        return text.ToString();
    }

    private static string Number(double value) => value.ToString(value >= 100 ? "N0" : "G3", CultureInfo.InvariantCulture);
}
