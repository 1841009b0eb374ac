#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Compare methods: the error and the evaluations of six methods on a pendulum at the same tolerance.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 1.5, 0.0 }), times = tensor(new[] { 0.0, 10.0 });
using OdeSolution reference = Ode.Solve(Pendulum, start, times, new() { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-14 });
foreach (OdeMethod method in new[] { OdeMethod.Bosh3, OdeMethod.Tsit5, OdeMethod.Dopri5, OdeMethod.Dopri8, OdeMethod.Adams, OdeMethod.Radau5 })
{
    using OdeSolution solution = Ode.Solve(Pendulum, start, times, new() { Method = method, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 });
    double error = (solution.Final - reference.Final).abs().max().ToDouble();
    Console.WriteLine($"{method.Name,-8} {solution.Statistics.FunctionEvaluations,5} evaluations, error {error:0E0}");
}

static Tensor Pendulum(Tensor t, Tensor y) => cat([y[1..], -y[..1].sin()]);
