using System.Globalization;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>Gradients over many equal steps, whose states are kept, kept in part, or come back by undoing the steps.</summary>
internal static class StepWorkloads
{
    private const int Steps = 1024, BatchSize = 128, Width = 64;

    private static readonly Lazy<DenseDynamics> Dynamics = new(() =>
    {
        random.manual_seed(1);
        return new DenseDynamics(Width);
    });

    public static SmallWorkload[] All { get; } =
    [
        Workload("checkpointed, all kept", OdeMethod.Midpoint, GradientMethod.Checkpointed()),
        Workload("checkpointed, √n kept", OdeMethod.Midpoint, GradientMethod.Checkpointed((int)Math.Sqrt(Steps))),
        Workload("reversible", OdeMethod.ReversibleCoupling(OdeMethod.Midpoint), GradientMethod.Reversible()),
        Workload("checkpointed, √n kept", OdeMethod.ReversibleHeun, GradientMethod.Checkpointed((int)Math.Sqrt(Steps))),
        Workload("reversible", OdeMethod.ReversibleHeun, GradientMethod.Reversible()),
    ];

    private static SmallWorkload Workload(string name, OdeMethod method, GradientMethod gradient) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{Steps} steps of {method.Name}, {name}"), () => Run(method, gradient));

    private static SolverStatistics Run(OdeMethod method, GradientMethod gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        DenseDynamics dynamics = Dynamics.Value;
        dynamics.zero_grad();
        Tensor start = ones(BatchSize, Width).requires_grad_();
        var options = new OdeSolverOptions { Method = method, StepSize = 1.0 / Steps, Gradient = gradient };
        OdeSolution solution = Ode.Solve(dynamics, start, 0, 1, options);
        solution.Final.square().sum().backward();
        return solution.Statistics;
    }
}
