using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Makes torch's optimizers, and reads and writes what they remember.</summary>
internal static class TorchOptimizer
{
    public static OptimizerHelper Create(TrainingPlan plan, nn.Module module)
    {
        double rate = plan.LearningRates.Maximum;
        return plan.Optimizer switch
        {
            NeuralOdeOptimizer.Adam => optim.Adam(module.parameters(), rate, weight_decay: plan.WeightDecay),
            // torch's own value for the second moment; TorchSharp's default for this one is another.
            NeuralOdeOptimizer.AdamW => optim.AdamW(module.parameters(), rate, beta2: 0.999, weight_decay: plan.WeightDecay),
            _ => optim.SGD(module.parameters(), rate, plan.Momentum, weight_decay: plan.WeightDecay),
        };
    }
}
