#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Ask for derivatives: how does the end of a solution depend on its start and on a parameter?
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor y0 = tensor(new[] { 2.0 }).requires_grad_(), rate = tensor(0.7).requires_grad_(), times = tensor(new[] { 0.0, 1.0 });
var options = new OdeSolverOptions { RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-10, Gradient = GradientMethod.Adjoint() };
using OdeSolution solution = Ode.Solve((t, y) => -rate * y, y0, times, options, [rate]);
solution.Final.sum().backward();

Console.WriteLine($"dy(1)/dy(0)  = {y0.grad!.ToDouble():F6}, exact {Math.Exp(-0.7):F6}");
Console.WriteLine($"dy(1)/drate = {rate.grad!.ToDouble():F6}, exact {-2 * Math.Exp(-0.7):F6}");
