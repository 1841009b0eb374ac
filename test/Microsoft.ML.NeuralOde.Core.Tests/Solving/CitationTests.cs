using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class CitationTests
{
    [Fact]
    public void Every_method_names_where_it_was_published()
    {
        foreach (OdeMethod method in OdeMethod.All)
        {
            method.Citations.Should().NotBeEmpty(method.Name);
            foreach (Citation citation in method.Citations)
            {
                citation.BibTeX.Should().StartWith("@").And.Contain("{" + citation.Key + ",");
                foreach (string field in new[] { "author", "title", "year" })
                    citation.BibTeX.Should().MatchRegex($@"\n  {field} = \{{.+\}}[,\n]", $"{method.Name} cites {citation.Key}");
                // Braces must pair, or BibTeX reads the rest of the file as one value.
                citation.BibTeX.Count(c => c == '{').Should().Be(citation.BibTeX.Count(c => c == '}'));
                citation.Key[^4..].Should().Be(Regex.Match(citation.BibTeX, @"year = \{(\d+)\}").Groups[1].Value);
            }
        }
    }

    /// <summary>Methods and who published them, as the literature has it; textbooks where a method is older than its name.</summary>
    [Theory]
    [InlineData("euler", "hairer1993")]
    [InlineData("midpoint", "hairer1993")]
    [InlineData("heun2", "heun1900")]
    [InlineData("heun3", "heun1900")]
    [InlineData("ralston", "ralston1962")]
    [InlineData("rk4", "kutta1901")]
    [InlineData("rk4_38", "kutta1901")]
    [InlineData("adaptive_heun", "hairer1993")]
    [InlineData("fehlberg2", "fehlberg1969")]
    [InlineData("bosh3", "bogacki1989")]
    [InlineData("tsit5", "tsitouras2011")]
    [InlineData("dopri5", "dormand1980")]
    [InlineData("dopri8", "hairer1993")]
    [InlineData("implicit_euler", "hairer1996")]
    [InlineData("implicit_midpoint", "hairer1996")]
    [InlineData("trapezoid", "hairer1996")]
    [InlineData("sdirk2", "alexander1977")]
    [InlineData("trbdf2", "hosea1996")]
    [InlineData("kvaerno3", "kvaerno2004")]
    [InlineData("esdirk4", "kennedy2003")]
    [InlineData("esdirk5", "kennedy2019")]
    [InlineData("radau3", "hairer1996")]
    [InlineData("radau5", "hairer1996")]
    [InlineData("gl4", "hairer1996")]
    [InlineData("gl6", "hairer1996")]
    [InlineData("reversible_heun", "kidger2021")]
    [InlineData("semi_implicit_euler", "hairer2006")]
    [InlineData("leapfrog", "hairer2006")]
    [InlineData("adams", "shampine1975")]
    [InlineData("auto", "petzold1983", "dormand1980", "hairer1996")]
    public void Each_method_cites_its_authors(string name, params string[] keys) =>
        OdeMethod.Parse(name).Citations.Select(citation => citation.Key).Should().Equal(keys);

    [Fact]
    public void A_solution_cites_its_method_and_with_a_graph_its_gradient()
    {
        using Tensor y0 = ones(1), times = tensor(new[] { 0.0, 1.0 });
        using OdeSolution plain = Ode.Solve((t, y) => y.neg(), y0, times, new OdeSolverOptions { Method = OdeMethod.Tsit5 });
        plain.Citations.Select(citation => citation.Key).Should().Equal("tsitouras2011");

        using Tensor trained = ones(1).requires_grad_();
        var options = new OdeSolverOptions { Method = OdeMethod.ReversibleCoupling(OdeMethod.Bosh3), Gradient = GradientMethod.Adjoint() };
        using OdeSolution withGraph = Ode.Solve((t, y) => y.neg(), trained, times, options);
        withGraph.Citations.Select(citation => citation.Key).Should().Equal("mccallum2024", "bogacki1989", "chen2018");
    }

    [Fact]
    public void A_method_of_ones_own_cites_nobody() =>
        OdeMethod.ExplicitRungeKutta(
            "mine", new RungeKuttaTableau { Order = 1, Nodes = [0], Matrix = [[]], Weights = [1] }).Citations.Should().BeEmpty();
}
