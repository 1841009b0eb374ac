using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Derivatives through the solver's own operations.</summary>
internal sealed class DirectGradient : GradientMethod
{
    private DirectGradient()
        : base("direct")
    {
    }

    public static DirectGradient Instance { get; } = new();

    internal override bool ReachesAll(OdeMethod method) => true;

    internal override OdeSolution Solve(OdeProblem problem)
    {
        Tensor initial = problem.InitialState;
        TimeGrid grid = problem.TimesRequireGradient ? problem.Grid.Track(problem.Times!, initial.dtype, initial.device) : problem.Grid;
        var memory = new GraphMemory();
        PenaltyRecorder? penalties = problem.Penalty is null ? null : new PenaltyRecorder(problem.Penalty);
        OdeSolution solution = OdeProblem.Integrate(
            new IntegrationTask(problem.Equation, initial, grid, problem.Options, problem.Statistics, IsDifferentiable: true, penalties));
        solution.Penalty = penalties?.Take();
        problem.Statistics.GraphBytes += memory.EstimateAll(initial);
        return solution;
    }
}
