using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Solvers;

/// <summary>The command <c>solvers</c>: every method on the same problems.</summary>
internal static class SolversCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        string[] names = [.. OdeMethod.All.Select(known => known.Name)];
        Option<OdeMethod?> method =
            CommandOptions.Parsed<OdeMethod?>("--method", null, names, OdeMethod.Parse, "NAME", "Only this method.");
        Option<string?> json = CommandOptions.Json("Write the table to this file.");
        Option<string?> markdown = CommandOptions.Product("--markdown", "Write the table as a document to this file.");
        var command =
            new System.CommandLine.Command("solvers", "Compare the numerical methods on the same problems.") { method, json, markdown };
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                OdeMethod[] methods = result.GetValue(method) is { } one ? [one] : [.. OdeMethod.All];
                Run(methods, OutputFile.At("--json", result.GetValue(json)), OutputFile.At("--markdown", result.GetValue(markdown)),
                    display, token);
            },
            token));
        return command;
    }

    private static void Run(
        OdeMethod[] methods, OutputFile? json, OutputFile? markdown, Display display, CancellationToken cancellationToken)
    {
        MethodResult[] results = display.Progress("Solving", report => methods.Select((method, i) =>
        {
            report((double)i / methods.Length);
            return SolverComparison.Run(method, cancellationToken);
        }).ToArray());
        display.Line(
            $"Adaptive methods at rtol {SolverComparison.RelativeTolerance:0e-0}, atol {SolverComparison.AbsoluteTolerance:0e-0}; the others with {SolverComparison.FixedSteps} steps.");
        display.Line("For each problem: evaluations · largest error · milliseconds.");
        display.Table(Table(results));
        json?.WriteJson(new { methods = results }, Format);
        markdown?.Write(SolverDocument.Write(results));
    }

    private static Table Table(IReadOnlyList<MethodResult> results)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("method", "order", "measured", "stages", "steps");
        foreach (string name in SolverComparison.ProblemNames)
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        foreach (MethodResult method in results)
            table.AddRow(
            [
                method.Name, method.TheoreticalOrder.ToString(CultureInfo.InvariantCulture),
                method.ObservedOrder.ToString("F1", CultureInfo.InvariantCulture),
                method.Stages.ToString(CultureInfo.InvariantCulture), method.Adaptive ? "adaptive" : "fixed",
                .. method.Problems.Select(p =>
                    Markup.Escape(p.Milliseconds is { } ms
                        ? string.Create(CultureInfo.InvariantCulture, $"{SolverDocument.Cell(p)} · {ms:F0}") : p.Failure ?? "–")),
            ]);
        return table;
    }
}
