#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Solve a stiff problem: Robertson's reaction, whose rates differ by nine orders of magnitude.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 1.0, 0.0, 0.0 }), times = tensor(new[] { 0.0, 0.4, 40, 4e3, 4e5 });
var options = new OdeSolverOptions { Method = OdeMethod.Radau5, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-10 };
using OdeSolution solution = Ode.Solve(Robertson, start, times, options);

for (int i = 1; i < times.shape[0]; i++)
    Console.WriteLine($"t = {times[i].ToDouble():0E0}: {string.Join("  ", solution.States[i].data<double>().ToArray().Select(y => $"{y:0.0000E0}"))}");
Console.WriteLine($"{solution.Statistics.AcceptedSteps} steps");

static Tensor Robertson(Tensor t, Tensor y)
{
    Tensor slow = 0.04 * y[0], fast = 1e4 * y[1] * y[2], pair = 3e7 * y[1] * y[1];
    return stack([fast - slow, slow - fast - pair, pair]);
}
