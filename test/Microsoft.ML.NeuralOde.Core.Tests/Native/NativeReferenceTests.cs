using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Native;

/// <summary>
/// Solves in plain memory of the problems of Hull et al., and of stiff ones whose solutions F. Mazzia and C. Magherini published in their
/// Test Set for Initial Value Problem Solvers, release 2.4, 2008.
/// </summary>
public class NativeReferenceTests
{
    [Theory]
    [InlineData("bosh3", 1e-6)]
    [InlineData("tsit5", 1e-6)]
    [InlineData("tsit5", 1e-9)]
    [InlineData("dopri8", 1e-9)]
    [InlineData("auto", 1e-6)]
    public void The_problems_of_Hull_are_solved_to_a_moderate_multiple_of_the_tolerance(string method, double tolerance)
    {
        foreach (Detest problem in Detest.All)
            problem.NativeScaledError(OdeMethod.Parse(method), tolerance)
                .Should().BeLessThan(problem.Name[0] == 'D' ? 5000 : 600, "of problem {0}, in units of the tolerance", problem.Name);
    }

    [Theory]
    [InlineData("radau5", true)]
    [InlineData("radau5", false)]
    [InlineData("esdirk5", true)]
    [InlineData("esdirk4", true)]
    [InlineData("auto", true)]
    public void Stiff_problems_end_where_the_test_set_says(string method, bool givesJacobian)
    {
        foreach (StiffProblem problem in StiffProblem.All)
        {
            var options = new OdeSolverOptions
            {
                Method = OdeMethod.Parse(method),
                RelativeTolerance = 1e-8,
                AbsoluteTolerance = 1e-8 * problem.Smallest,
            };
            NativeOdeSolution solution = Ode.Solve(
                problem.F, problem.InitialState, [0, problem.End], options, givesJacobian ? problem.Jacobian : null);
            for (int i = 0; i < problem.Final.Length; i++)
                (solution.Final[i] / problem.Final[i]).Should().BeApproximately(1, 1e-5, $"{problem.Name}, component {i}");
        }
    }

    /// <summary>A stiff problem.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="F">f.</param>
    /// <param name="Jacobian">∂f/∂y.</param>
    /// <param name="InitialState">y(0).</param>
    /// <param name="End">The last time.</param>
    /// <param name="Final">The published state there.</param>
    private sealed record StiffProblem(
        string Name, OdeFunction F, OdeJacobian Jacobian, double[] InitialState, double End, double[] Final)
    {
        public static IReadOnlyList<StiffProblem> All { get; } =
        [
            new("HIRES", Hires, HiresJacobian, [1, 0, 0, 0, 0, 0, 0, 0.0057], 321.8122,
            [
                0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2, 0.2386356198831331e-2,
                0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2,
            ]),
            new("Robertson", NativeCase.Robertson, NativeCase.RobertsonJacobian, [1, 0, 0], 1e11,
                [0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050]),
            new("van der Pol",
                (t, y, dy) => (dy[0], dy[1]) = (y[1], ((1 - y[0] * y[0]) * y[1] - y[0]) / 1e-6),
                (t, y, j) => (j[0], j[1], j[2], j[3]) = (0, 1, (-2 * y[0] * y[1] - 1) / 1e-6, (1 - y[0] * y[0]) / 1e-6),
                [2, 0], 2, [1.706167732170483, -0.8928097010247975]),
        ];

        /// <summary>The size of the smallest component at the end.</summary>
        public double Smallest => Final.Min(Math.Abs);

        /// <summary>How light changes the growth of plants, E. Schäfer, 1975.</summary>
        private static void Hires(double t, ReadOnlySpan<double> y, Span<double> dy)
        {
            double reaction = 280 * y[5] * y[7];
            dy[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007;
            dy[1] = 1.71 * y[0] - 8.75 * y[1];
            dy[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4];
            dy[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3];
            dy[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6];
            dy[5] = -reaction + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6];
            dy[6] = reaction - 1.81 * y[6];
            dy[7] = -reaction + 1.81 * y[6];
        }

        private static void HiresJacobian(double t, ReadOnlySpan<double> y, Span<double> j)
        {
            double by5 = 280 * y[7], by7 = 280 * y[5];
            Set(j, 0, (0, -1.71), (1, 0.43), (2, 8.32));
            Set(j, 1, (0, 1.71), (1, -8.75));
            Set(j, 2, (2, -10.03), (3, 0.43), (4, 0.035));
            Set(j, 3, (1, 8.32), (2, 1.71), (3, -1.12));
            Set(j, 4, (4, -1.745), (5, 0.43), (6, 0.43));
            Set(j, 5, (3, 0.69), (4, 1.71), (5, -by5 - 0.43), (6, 0.69), (7, -by7));
            Set(j, 6, (5, by5), (6, -1.81), (7, by7));
            Set(j, 7, (5, -by5), (6, 1.81), (7, -by7));
        }

        private static void Set(Span<double> jacobian, int row, params ReadOnlySpan<(int Column, double Value)> entries)
        {
            foreach ((int column, double value) in entries)
                jacobian[8 * row + column] = value;
        }
    }
}
