using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

public class WeightOptimizerTests
{
    [Theory]
    [InlineData(NeuralOdeOptimizer.Adam, 0.0, 0.0)]
    [InlineData(NeuralOdeOptimizer.Adam, 0.0, 0.1)]
    [InlineData(NeuralOdeOptimizer.AdamW, 0.0, 0.1)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.0, 0.0)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.9, 0.1)]
    public void Weights_move_as_under_torchs_own_optimizer(NeuralOdeOptimizer kind, double momentum, double decay)
    {
        using DisposeScope scope = NewDisposeScope();
        const double Rate = 0.02;
        torch.random.manual_seed(1);
        nn.Module<Tensor, Tensor> ours = nn.Linear(5, 3), theirs = nn.Linear(5, 3);
        theirs.load_state_dict(ours.state_dict());
        TrainingPlan plan =
            new NeuralOdeRegressionTrainer.Options { Optimizer = kind, Momentum = momentum, WeightDecay = decay }.Plan(1, null);
        using var optimizer = new WeightOptimizer(plan, ours);
        using TorchSharp.Modules.OptimizerHelper expected = kind switch
        {
            NeuralOdeOptimizer.Adam => optim.Adam(theirs.parameters(), Rate, weight_decay: decay),
            NeuralOdeOptimizer.AdamW => optim.AdamW(theirs.parameters(), Rate, beta2: 0.999, weight_decay: decay),
            _ => optim.SGD(theirs.parameters(), Rate, momentum, weight_decay: decay),
        };
        for (int step = 0; step < 6; step++)
        {
            Tensor x = randn(7, 5);
            optimizer.ZeroGradients();
            expected.zero_grad();
            ours.call(x).square().sum().backward();
            theirs.call(x).square().sum().backward();
            optimizer.Step(Rate);
            expected.step();
        }
        foreach ((Tensor found, Tensor wanted) in ours.parameters().Zip(theirs.parameters()))
            found.data<float>().ToArray().Should().Equal(wanted.data<float>().ToArray(), (a, b) => Math.Abs(a - b) < 1e-6);
    }
}
