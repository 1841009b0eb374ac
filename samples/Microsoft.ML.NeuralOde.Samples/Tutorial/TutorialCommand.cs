using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>The command <c>tutorial</c>: computes what the tutorial's chapters say and draw, and writes them.</summary>
internal static class TutorialCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<int?> chapter = CommandOptions.Positive("--chapter", $"Only this chapter, 1 to {Chapter.All.Count}.");
        Option<string?> output = CommandOptions.Path("--out", "FOLDER", "Write chapters and figures to this folder; default: tutorial.");
        Option<string?> check =
            CommandOptions.Path("--check", "FOLDER", "Compare with the chapters in this folder, and fail where they say something else.");
        Option<int> seed = CommandOptions.Seed(
            0, "Added to the seeds of the chapters: other random numbers than those of the documents.");
        Option<string?> json = CommandOptions.Json("Write the numbers to this file.");
        Option<FigureTheme> theme = CommandOptions.Named("--theme", FigureTheme.Light, "THEME", "The colours of the figures");
        var command = new System.CommandLine.Command(
            "tutorial", "Compute, print and draw what the tutorial's chapters show.") { chapter, output, check, seed, json, theme };
        command.Validators.Add(result =>
        {
            if (result.GetValue(check) is not null && result.GetValue(seed) != 0)
                result.AddError("--seed excludes --check: the documents are of seed 0.");
        });
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                IReadOnlyList<Chapter> chapters = Chapter.All;
                if (result.GetValue(chapter) is { } number)
                    chapters = number <= chapters.Count ? [chapters[number - 1]]
                        : throw new UserException($"--chapter is '{number}'; a number from 1 to {chapters.Count} would be right.");
                Run(chapters, result.GetValue(output) ?? "tutorial", result.GetValue(check), OutputFile.At("--json", result.GetValue(json)),
                    result.GetValue(theme), result.GetValue(seed), display, token);
            },
            token));
        return command;
    }

    private static void Run(
        IReadOnlyList<Chapter> chapters, string folder, string? check, OutputFile? json, FigureTheme theme, int seed,
        Display display, CancellationToken cancellationToken)
    {
        OutputFile.EnsureFolder("--out", folder);
        var numbers = new SortedDictionary<string, IReadOnlyDictionary<string, double>>(StringComparer.Ordinal);
        var differences = new List<string>();
        foreach (Chapter chapter in chapters)
        {
            cancellationToken.ThrowIfCancellationRequested();
            display.Line($"{chapter.Number}. {chapter.Title}");
            long started = Stopwatch.GetTimestamp();
            var page = new TutorialPage(folder, chapter.Number.ToString("00", CultureInfo.InvariantCulture), display, theme, seed);
            chapter.Run(page, cancellationToken);
            var text = new ChapterText(chapter.Template(), page);
            OutputFile.At("--out", Path.Combine(folder, chapter.Name + ".md"))!.Write(text.ToString());
            numbers[chapter.Name] = page.Numbers;
            if (check is not null)
                differences.AddRange(Compare(text, Path.Combine(check, chapter.Name + ".md")));
            display.Line(
                string.Create(CultureInfo.InvariantCulture, $"{chapter.Name}.md, {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s"));
            display.Line();
        }
        json?.WriteJson(numbers, Format);
        if (differences.Count > 0)
            throw new UserException(
                $"The chapters in '{check}' say something else than this program found. Write them anew with --out {check}, and read what changed.\n"
                + string.Join("\n", differences));
    }

    private static IEnumerable<string> Compare(ChapterText text, string file) => File.Exists(file)
        ? text.Differences(File.ReadAllText(file)).Select(difference => $"{Path.GetFileName(file)}, {difference}")
        : throw new UserException($"--check: there is no chapter '{file}'.");
}
