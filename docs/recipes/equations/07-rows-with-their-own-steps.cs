#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Solve many rows at once: each with steps and a parameter of its own, and one that blows up spoils no other.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

using Tensor y0 = ones([4, 1], ScalarType.Float64), times = tensor(new[] { 0.0, 1.0 }), rate = tensor(new[] { -1.0, 0.5, -300, 2 }, [4, 1]);
var options = new OdeSolverOptions { PerRow = true, OnStepLimit = StepLimitBehavior.ReturnPartial };
using OdeSolution solution = Ode.Solve((t, y, arguments) => arguments[0] * y * y, y0, times, [rate], options);

for (int row = 0; row < 4; row++)
    Console.WriteLine($"y' = {rate[row].ToDouble()} y²: {solution.Status[row]}, y(1) = {solution.Final[row].ToDouble():F4}");
