using System.Text;
using System.Xml.Linq;
using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Pictures;

public class ReportPageTests
{
    [Fact]
    public void Texts_cannot_become_a_part_of_the_page()
    {
        const string Evil = "<script>alert('\"&')</script>\0";
        string html = new ReportPage(Evil).Section(Evil).Text(Evil).Preformatted(Evil).Table([Evil], [[Evil]])
            .Add(Figures.Lines(Evil, Evil, Evil, [new Curve(Evil, [0, 1], [1, 2])]), Evil).ToHtml();

        html.Should().NotContain("<script").And.NotContain("\0");
        XDocument page = XDocument.Parse(html);
        page.Descendants("td").Single().Value.Should().Be(Evil.Replace('\0', '\uFFFD'));
        page.Descendants("img").Single().Attribute("alt")!.Value.Should().Be(Evil.Replace('\0', '\uFFFD'));
        foreach (string svg in Pictures(page))
            XDocument.Parse(svg).Descendants().Should().NotContain(element => element.Name.LocalName == "script");
    }

    [Fact]
    public void A_page_holds_all_it_needs_and_a_figure_for_each_theme_and_width()
    {
        Figure figure = Figure.Combine(
            "two", 2, Figures.Lines("a", "x", "y", [new Curve("c", [0, 1], [1, 2])]), Figures.ConfusionMatrix([[1, 0], [0, 1]]));
        XDocument page = XDocument.Parse(new ReportPage("page").Add(figure).ToHtml());

        page.Descendants()
            .Attributes().Where(attribute => attribute.Name == "src" || attribute.Name == "srcset" || attribute.Name == "href")
            .Should().HaveCount(4).And.OnlyContain(attribute => attribute.Value.StartsWith("data:image/svg+xml;base64,"));
        page.Descendants("meta").Should().Contain(meta => ((string?)meta.Attribute("content") ?? "").StartsWith("default-src 'none'"));
        page.Descendants("source").Select(source => source.Attribute("media")!.Value).Should().Equal(
            "(max-width: 640px) and (prefers-color-scheme: dark)", "(max-width: 640px)", "(prefers-color-scheme: dark)");
        string[] widths = [.. Pictures(page).Select(svg => XDocument.Parse(svg).Root!.Attribute("width")!.Value)];
        widths.Should().Equal("350", "350", $"{figure.Width}", $"{figure.Width}");
        Pictures(page).Select(svg => svg.Contains("#0D1117", StringComparison.OrdinalIgnoreCase) || svg.Contains("rgb(13,17,23)"))
            .Should().Equal(true, false, true, false);
    }

    [Fact]
    public void Columns_of_numbers_stand_to_the_right()
    {
        XDocument page =
            XDocument.Parse(new ReportPage("page").Table(["a", "b", "c"], [["1,234", "12 %", "7"], ["–", "1E-5", "12 months"]]).ToHtml());

        page.Descendants("td").Select(cell => cell.Attribute("class") is not null).Should().Equal(true, true, false, true, true, false);
    }

    [Fact]
    public void What_makes_no_sense_is_refused()
    {
        var page = new ReportPage("page");
        page.Invoking(p => p.Table(["a"], [["1", "2"]])).Should().Throw<ArgumentException>().WithMessage("*2 cells*1 columns*");
        page.Invoking(p => p.Table(["a"], [])).Should().Throw<ArgumentException>().WithMessage("*no rows*");
        FluentActions.Invoking(() => new ReportPage(" ")).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_file_is_written_whole_and_its_folder_made()
    {
        string folder = Directory.CreateTempSubdirectory("neural-ode-page-").FullName;
        try
        {
            string file = Path.Combine(folder, "new", "page.html");
            ReportPage page = new ReportPage("page").Text("näive");
            page.Save(file);
            File.ReadAllText(file).Should().Be(page.ToHtml());
            Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Should().ContainSingle();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static IEnumerable<string> Pictures(XDocument page) => page.Descendants().Attributes()
        .Where(attribute => attribute.Name == "src" || attribute.Name == "srcset")
        .Select(attribute => Encoding.UTF8.GetString(Convert.FromBase64String(attribute.Value.Split(',')[1])));
}
