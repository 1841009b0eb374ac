using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

/// <summary>
/// Adaptive methods keep their tolerance on the problems of Hull et al.: the error at the end is a moderate multiple of it.
/// </summary>
public class DetestTests
{
    [Theory]
    [InlineData("adaptive_heun", 1e-5)]
    // The published estimate is 1/512 of the difference of two slopes: errors are larger by a like factor.
    [InlineData("fehlberg2", 1e-7, 20)]
    [InlineData("bosh3", 1e-6)]
    [InlineData("tsit5", 1e-6)]
    [InlineData("dopri5", 1e-6)]
    [InlineData("dopri8", 1e-6)]
    [InlineData("adams", 1e-6)]
    [InlineData("adams", 1e-9)]
    [InlineData("auto", 1e-6)]
    public void Explicit_methods_and_those_that_switch_keep_their_tolerance(string name, double tolerance, double slack = 1) =>
        Check(name, tolerance, slack);

    /// <summary>Without implicit Euler, whose damping makes orbits fall into the sun.</summary>
    public static TheoryData<string> Implicit =>
        [.. OdeMethod.All.OfType<ImplicitRungeKutta>()
            .Where(method => method.IsAdaptive && method.Order > 1).Select(method => method.Name)];

    [Theory]
    [Trait("Category", "Slow")]
    [MemberData(nameof(Implicit))]
    public void Implicit_methods_keep_their_tolerance(string name) => Check(name, OdeMethod.Parse(name).Order > 2 ? 1e-5 : 1e-4);

    private static void Check(string name, double tolerance, double slack = 1)
    {
        foreach (Detest problem in Detest.All)
        {
            double error = problem.ScaledError(OdeMethod.Parse(name), tolerance, out SolverStatistics statistics);
            // Orbits carry an error of their phase along, the longer the larger.
            error.Should()
                .BeLessThan(slack * (problem.Name[0] == 'D' ? 5000 : 600), "of problem {0}, in units of the tolerance", problem.Name);
            // The eigenvalues of C2 reach −9, which does limit the steps of explicit methods in the end.
            if (problem.Name != "C2")
                statistics.IsStiff.Should().BeFalse("problem {0} is not", problem.Name);
        }
    }
}
