#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Bounce: an event that resets the state; each impact keeps 80 % of the speed.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 1.0, 0.0 }), times = linspace(0, 2.5, 6, ScalarType.Float64);
using Tensor keep = tensor(new[] { 0.0, -0.8 });
var bounce = new OdeEvent((t, y) => y[0], EventDirection.Falling, reset: (t, y) => keep * y);
using OdeSolution path = Ode.Solve((t, y) => stack([y[1], full_like(y[1], -9.81)]), start, times, new() { Events = [bounce] });

foreach (OdeEventOccurrence impact in path.Events)
    Console.WriteLine($"impact at {impact.Time.ToDouble():F4} s");
Console.WriteLine($"height at 2.5 s: {path.Final[0].ToDouble():F4} m");
