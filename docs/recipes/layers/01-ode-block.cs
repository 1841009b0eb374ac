#:project ../../../src/Microsoft.ML.NeuralOde.Core
#:property PublishAot=false
// Use an ODE as a layer: two interleaved half moons, told apart by a network whose middle is an ODE block.
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

random.manual_seed(1);
using Tensor angle = rand(400) * (float)Math.PI, upper = (arange(400) % 2).to(float32).unsqueeze(1), noise = randn(400, 2) * 0.1f;
using Tensor moon = stack([angle.cos(), angle.sin()], 1), points = (where(upper > 0, moon, tensor(new[] { 1f, 0.5f }) - moon) + noise).detach();
using var network = nn.Sequential(nn.Linear(2, 8), new OdeBlock(new DenseDynamics(8, [16])), nn.Linear(8, 1));
using var optimizer = new AdamOptimizer(network.parameters(), learningRate: 0.02);
for (int step = 0; step < 100; step++)
{
    using DisposeScope scope = NewDisposeScope();
    optimizer.ZeroGradients();
    nn.functional.binary_cross_entropy_with_logits(network.call(points), upper).backward();
    optimizer.Step();
}
using Tensor right = ((network.call(points) > 0) == (upper > 0)).to(float32).mean();
Console.WriteLine($"{100 * right.ToDouble():F1} % right");
