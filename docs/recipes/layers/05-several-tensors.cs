#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Solve for several tensors: a state of position and velocity, each with a shape of its own.
using Microsoft.ML.NeuralOde;
using static TorchSharp.torch;

using Tensor position = tensor(new[] { 1.0, 2.0, 3.0 }), velocity = zeros(3, ScalarType.Float64), times = tensor(new[] { 0.0, Math.PI });
using OdeTupleSolution swing = Ode.Solve((t, parts) => [parts[1], parts[0].neg()], [position, velocity], times, new OdeSolverOptions { RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-10 });

Console.WriteLine(string.Join("  ", swing.States[0][-1].data<double>().ToArray().Select(y => $"{y:F6}")) + " after half a period");
