#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Keep paths short: the kinetic energy and the Jacobian's norm along the solution, as a term for the loss.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

random.manual_seed(1);
using var dynamics = new DenseDynamics(4, [32]);
using Tensor start = randn(64, 4);
var regularization = new PathRegularization { KineticEnergy = 0.1, JacobianNorm = 0.1 };
using RegularizedSolution solution = regularization.Solve(dynamics, start, 0, 1, new() { RelativeTolerance = 1e-5 });
using Tensor loss = solution.Final.square().mean() + solution.Penalty;
loss.backward();
Console.WriteLine($"penalty {solution.Penalty.ToDouble():F4} of a loss of {loss.ToDouble():F4}");
