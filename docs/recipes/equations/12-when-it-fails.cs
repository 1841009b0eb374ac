#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Read a failure: y' = y² has a pole at t = 1, and the exception says where, which row and what to do.
using Microsoft.ML.NeuralOde;
using static TorchSharp.torch;

using Tensor start = tensor(new[] { 0.2, 1.0 }, [2, 1]), times = tensor(new[] { 0.0, 2.0 });
try
{
    using OdeSolution never = Ode.Solve((t, y) => y.square(), start, times);
}
catch (OdeSolverException failure)
{
    Console.WriteLine(failure.Failure);
    Console.WriteLine(failure.Message);
}
