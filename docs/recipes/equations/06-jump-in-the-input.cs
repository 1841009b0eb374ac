#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Name a jump: a heater is switched off at t = 3, and a step ends exactly there.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor cold = tensor(new[] { 20.0 }), times = linspace(0, 6, 4, ScalarType.Float64);
foreach (double[] jumps in new double[][] { [], [3.0] })
{
    var options = new OdeSolverOptions { RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-8, Discontinuities = jumps };
    using OdeSolution room = Ode.Solve((t, y) => (t.ToDouble() < 3 ? 15 : 0) - (y - 20) / 4, cold, times, options);
    Console.WriteLine($"{jumps.Length} jumps named: {room.Statistics.FunctionEvaluations} evaluations, {room.Statistics.RejectedSteps} rejected steps");
    if (jumps.Length == 1)
        Console.WriteLine(string.Join("  ", room.States.data<double>().ToArray().Select(y => $"{y:F3} °C")));
}
