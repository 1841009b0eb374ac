#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Stop at an event: when does a ball that is thrown upwards come down, and how fast?
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 0.0, 20.0 }), times = tensor(new[] { 0.0, 10.0 });
var ground = new OdeEvent((t, y) => y[0], EventDirection.Falling, isTerminal: true);
using OdeSolution flight = Ode.Solve((t, y) => stack([y[1], full_like(y[1], -9.81)]), start, times, new() { Events = [ground] });

OdeEventOccurrence landing = flight.Events[0];
Console.WriteLine($"It lands after {landing.Time.ToDouble():F4} s (exact {2 * 20 / 9.81:F4}) at {landing.State[1].ToDouble():F3} m/s.");
