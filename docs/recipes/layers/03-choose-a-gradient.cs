#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Choose a gradient: the same derivative by four methods, and what each evaluates on the way back.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

random.manual_seed(1);
using var dynamics = new DenseDynamics(4, [32]);
using Tensor start = randn(16, 4);
foreach (GradientMethod gradient in new[] { GradientMethod.Direct(), GradientMethod.Checkpointed(4), GradientMethod.Adjoint(), GradientMethod.Reversible() })
{
    OdeMethod method = gradient.Name == "reversible" ? OdeMethod.ReversibleHeun : OdeMethod.Rk4;
    using OdeSolution solution = Ode.Solve(dynamics, start, 0, 1, new() { Method = method, StepSize = 0.02, Gradient = gradient });
    dynamics.zero_grad();
    solution.Final.square().mean().backward();
    Console.WriteLine($"{gradient.Name,-12} |gradient| {dynamics.parameters().First().grad!.norm().ToDouble():F5}, {solution.Statistics.BackwardEvaluations} evaluations backward");
}
