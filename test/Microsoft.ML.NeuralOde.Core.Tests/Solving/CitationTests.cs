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
