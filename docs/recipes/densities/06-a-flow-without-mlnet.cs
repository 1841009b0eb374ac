#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Train a flow by hand: flow matching in Core alone, with the exact likelihood afterwards.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

random.manual_seed(1);
using Tensor data = randn(1000, 2) * 0.5f + tensor(new[] { 1f, -1f });
using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [32] });
flow.Observe(data);
using var optimizer = new AdamOptimizer(flow.parameters(), learningRate: 0.01);
for (int step = 0; step < 300; step++)
{
    using DisposeScope scope = NewDisposeScope();
    optimizer.ZeroGradients();
    FlowMatching.Loss(flow, data[randint(0, 1000, [256])]).backward();
    optimizer.Step();
}
using var _ = no_grad();
double entropy = 2 * (Math.Log(0.5) + 0.5 * Math.Log(2 * Math.PI * Math.E));
Console.WriteLine($"{flow.NegativeLogLikelihood(data).ToDouble():F1} nats a row, exact {entropy:F1}");
