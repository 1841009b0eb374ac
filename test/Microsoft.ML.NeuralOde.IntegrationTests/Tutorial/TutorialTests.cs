using System.Text.RegularExpressions;
using Microsoft.ML.NeuralOde.IntegrationTests.Samples;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Tutorial;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Tutorial;

public sealed partial class TutorialTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    // The chapters without a training; .ci/run compares all of them.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task The_numbers_in_a_chapter_are_those_that_its_program_finds(int chapter)
    {
        int code = await _host.RunAsync(
            "tutorial", "--chapter", $"{chapter}", "--out", _host.PathOf("out"), "--check", Folder, "--json", _host.PathOf("numbers.json"));
        _host.Error.Should().BeEmpty();
        code.Should().Be(0);
        Directory.GetFiles(_host.PathOf("out/figures"), "*.png").Should().NotBeEmpty();
        File.ReadAllText(_host.PathOf("numbers.json")).Should().Contain(Chapter.All[chapter - 1].Name);
    }

    [Fact]
    public async Task A_chapter_that_says_something_else_is_named_with_the_place()
    {
        string other = _host.PathOf("other"), name = Chapter.All[0].Name + ".md";
        Directory.CreateDirectory(other);
        string text = File.ReadAllText(Path.Combine(Folder, name));
        File.WriteAllText(Path.Combine(other, name), text.Replace("0.283", "0.382", StringComparison.Ordinal));
        (await _host.RunAsync("tutorial", "--chapter", "1", "--out", _host.PathOf("out"), "--check", other)).Should().Be(1);
        _host.Error.Should().Contain(name).And.Contain("0.382").And.Contain("0.283");
    }

    [Fact]
    public async Task Values_that_make_no_sense_are_named()
    {
        (await _host.RunAsync("tutorial", "--chapter", "99")).Should().Be(1);
        _host.Error.Should().Contain("--chapter is '99'");
        (await _host.RunAsync("tutorial", "--chapter", "1", "--theme", "pink")).Should().Be(1);
        _host.Error.Should().Contain("Light, Dark");
    }

    [Fact]
    public void Every_chapter_is_in_the_documents_with_its_figures_and_links_that_lead_somewhere()
    {
        string[] files = [.. Chapter.All.Select(chapter => chapter.Name + ".md"), "README.md"];
        foreach (string file in files)
        {
            string text = File.ReadAllText(Path.Combine(Folder, file));
            foreach (Match link in Link().Matches(text))
            {
                string target = Path.Combine(Folder, link.Groups[1].Value);
                File.Exists(target).Should().BeTrue($"{file} links to {link.Groups[1].Value}");
                if (link.Groups[2].Success)
                    Anchors(target).Should().Contain(link.Groups[2].Value, $"{file} links there in {link.Groups[1].Value}");
            }
            text.Should().NotContain("«").And.NotContain("| NaN");
        }
        string all = string.Concat(files.Select(file => File.ReadAllText(Path.Combine(Folder, file))));
        string[] figures = Directory.GetFiles(Path.Combine(Folder, "figures"));
        figures.Should().OnlyContain(figure => all.Contains(Path.GetFileName(figure), StringComparison.Ordinal));
        figures.Sum(figure => new FileInfo(figure).Length).Should().BeLessThan(3_000_000);
        Chapter.All.Select(chapter => chapter.Number).Should().Equal(Enumerable.Range(1, Chapter.All.Count));
    }

    [Theory]
    [InlineData(0.5, "0.0", 0.0, "0.5", true)]
    [InlineData(0.5, "0.0", 0.0, "0.6", false)]
    [InlineData(0.5, "0.0", 0.2, "0.6", true)]
    [InlineData(1234, "N0", 0.0, "1,234 steps", true)]
    [InlineData(1234, "N0", 0.0, "1,235", false)]
    [InlineData(2.4e-3, "0.0e-0", 0.02, "2.4e-3", true)]
    [InlineData(2.4e-3, "0.0e-0", 0.02, "2.4e-4", false)]
    [InlineData(-3.5, "0.0", 0.0, "-3.5", true)]
    [InlineData(7, "0.0", null, "123.4 ms", true)]
    [InlineData(7, "0.0", null, "ms", false)]
    public void Numbers_agree_up_to_rounding_and_what_machines_differ_by(
        double value, string format, double? tolerance, string text, bool agrees) =>
        new Fact(value, format, tolerance).Matches(text, out _).Should().Be(agrees);

    [Fact]
    public void Texts_and_programs_name_the_same_things()
    {
        TutorialPage Page()
        {
            var page = new TutorialPage(_host.WorkFolder, "00", _host.Display, FigureTheme.Light);
            page.Number("found", 1.5, "0.0");
            return page;
        }

        new ChapterText("It is «found».", Page()).ToString().Should().Be("It is 1.5.");
        new ChapterText("It is «found».", Page()).Differences("It was 1.5.").Should().ContainSingle().Which.Should().Contain("line 1");
        new ChapterText("It is «found».", Page()).Differences("It is 1.5.").Should().BeEmpty();
        new ChapterText("It is «found».", Page()).Differences("It is 2.5.").Should().ContainSingle();
        FluentActions.Invoking(() => new ChapterText("It is «lost».", Page()))
            .Should().Throw<InvalidOperationException>().WithMessage("*lost*");
        FluentActions.Invoking(() => new ChapterText("It is.", Page())).Should().Throw<InvalidOperationException>().WithMessage("*found*");
    }

    private static string Folder
    {
        get
        {
            string folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "docs", "solvers.md")))
                folder = Path.GetDirectoryName(folder)!;
            return Path.Combine(folder, "docs", "tutorial");
        }
    }

    /// <summary>What headings are known by: “The formula, derived” by “#the-formula-derived”.</summary>
    private static IEnumerable<string> Anchors(string file) => File.ReadLines(file).Where(line => line.StartsWith('#')).Select(line =>
        "#" + string.Concat(line.TrimStart('#').Trim().ToLowerInvariant().Where(sign => char.IsLetterOrDigit(sign) || sign is ' ' or '-'))
        .Replace(' ', '-'));

    [GeneratedRegex(@"\]\(([^)#:]+)(#[^)]*)?\)")]
    private static partial Regex Link();
}
