#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Solve an equation: h' = -2h + sin t with h(0) = 1, beside its exact solution.
using Microsoft.ML.NeuralOde;
using static TorchSharp.torch;

using Tensor h0 = ones(1, ScalarType.Float64), times = linspace(0, 4, 5, ScalarType.Float64);
var options = new OdeSolverOptions { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 };
using OdeSolution solution = Ode.Solve((t, h) => t.sin() - 2 * h, h0, times, options);

double[] h = solution.States.data<double>().ToArray();
for (int t = 0; t < h.Length; t++)
    Console.WriteLine($"t = {t}: h = {h[t]:F6}, exact {(2 * Math.Sin(t) - Math.Cos(t) + 6 * Math.Exp(-2 * t)) / 5:F6}");
Console.WriteLine($"{solution.Statistics.FunctionEvaluations} evaluations in {solution.Statistics.AcceptedSteps} steps");
