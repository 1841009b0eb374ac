#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Fit four parameters: growth, predation, death and conversion of Lotka and Volterra from 40 noisy observations.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

double[] truth = [1.0, 0.5, 1.2, 0.4];
using Tensor start = tensor(new[] { 2.0, 1.0 }), times = linspace(0, 8, 40, ScalarType.Float64);
using Tensor observed = Simulate(tensor(truth)) * (1 + 0.03 * randn([40, 2], ScalarType.Float64, generator: new Generator(1)));
var logarithms = new TorchSharp.Modules.Parameter(zeros(4, ScalarType.Float64));        // all four begin at 1
var optimizer = optim.LBFGS([logarithms], lr: 0.5, max_iter: 60);
optimizer.step(() =>
{
    optimizer.zero_grad();
    Tensor loss = (Simulate(logarithms.exp()).log() - observed.log()).square().mean();
    loss.backward();
    return loss;
});
Console.WriteLine(string.Join("  ", logarithms.exp().data<double>().ToArray().Zip(truth, (found, true_) => $"{found:F3} ({true_})")));

Tensor Simulate(Tensor p) => Ode.Solve((t, y) => stack([y[0] * (p[0] - p[1] * y[1]), y[1] * (p[3] * y[0] - p[2])]), start, times, new() { RelativeTolerance = 1e-6 }, [p]).States;
