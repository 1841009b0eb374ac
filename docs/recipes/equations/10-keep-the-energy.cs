#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Keep the energy: a planet over 100 orbits by leapfrog and by Runge and Kutta's classical method, at the same cost.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 1.0, 0.0, 0.0, 1.0 }), times = tensor(new[] { 0.0, 200 * Math.PI });
foreach ((OdeMethod method, double step) in new[] { (OdeMethod.Leapfrog, 0.05), (OdeMethod.Rk4, 0.2) })
{
    using OdeSolution orbit = Ode.Solve(Gravity, start, times, new() { Method = method, StepSize = step, MaximumSteps = 100_000 });
    Tensor q = orbit.Final[..2], v = orbit.Final[2..];
    Console.WriteLine($"{method.Name,-8} energy {(v.square().sum() / 2 - 1 / q.norm()).ToDouble():F5} (−0.5 at the start)");
}

static Tensor Gravity(Tensor t, Tensor y) => cat([y[2..], -y[..2] / y[..2].norm().pow(3)]);
