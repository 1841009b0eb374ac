#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Bring a method: a Runge–Kutta tableau of one's own, checked against the order it claims.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

OdeMethod ssp3 = OdeMethod.ExplicitRungeKutta("ssp3", Tableau(order: 3));
using Tensor one = ones(1, ScalarType.Float64), times = tensor(new[] { 0.0, 1.0 });
foreach (int steps in new[] { 10, 20, 40 })
{
    using OdeSolution solution = Ode.Solve((t, y) => y.neg(), one, times, new() { Method = ssp3, StepSize = 1.0 / steps });
    Console.WriteLine($"{steps} steps: error {Math.Abs(solution.Final.ToDouble() - Math.Exp(-1)):0.00E0}");
}
try { OdeMethod.ExplicitRungeKutta("wrong", Tableau(order: 4)); }
catch (ArgumentException problem) { Console.WriteLine(problem.Message.Split(" is missed")[0]); }

static RungeKuttaTableau Tableau(int order) => new()
{
    Order = order,
    Nodes = [0, 1, 0.5],
    Matrix = [[], [1], [0.25, 0.25]],
    Weights = [1.0 / 6, 1.0 / 6, 2.0 / 3],
};
