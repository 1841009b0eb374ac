using Microsoft.ML.NeuralOde.Persistence;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>One of torch's optimizers, with what it remembers as arrays.</summary>
internal sealed class TorchOptimizer : IDisposable
{
    private const string Prefix = "optimizer/";

    private readonly OptimizerHelper _optimizer;

    public TorchOptimizer(TrainingPlan plan, nn.Module module)
    {
        double rate = plan.LearningRates.Maximum;
        _optimizer = plan.Optimizer switch
        {
            NeuralOdeOptimizer.Adam => optim.Adam(module.parameters(), rate, weight_decay: plan.WeightDecay),
            // torch's own value for the second moment; TorchSharp's default for this one is another.
            NeuralOdeOptimizer.AdamW => optim.AdamW(module.parameters(), rate, beta2: 0.999, weight_decay: plan.WeightDecay),
            _ => optim.SGD(module.parameters(), rate, plan.Momentum, weight_decay: plan.WeightDecay),
        };
    }

    /// <summary>The steps that were made with each parameter, where the optimizer counts them.</summary>
    public long[] Steps => [.. _optimizer.state_dict().State.Select(state => state switch
    {
        Adam.State adam => adam.step,
        AdamW.State adam => adam.step,
        _ => 0,
    })];

    public void ZeroGradients() => _optimizer.zero_grad();

    public void Step(double learningRate)
    {
        foreach (optim.ILearningRateController group in _optimizer.ParamGroups)
            group.LearningRate = learningRate;
        _optimizer.step();
    }

    /// <summary>Moments and momenta.</summary>
    public IEnumerable<NamedArray> ToArrays() => Tensors().Select(pair => NamedTensors.ToArray(Prefix + pair.Name, pair.Tensor));

    /// <summary>Puts back what <see cref="ToArrays"/> and <see cref="Steps"/> gave.</summary>
    /// <exception cref="InvalidDataException">The arrays are not those of this optimizer.</exception>
    public void Restore(IReadOnlyDictionary<string, NamedArray> arrays, long[] steps)
    {
        List<OptimizerState> states = _optimizer.state_dict().State;
        if (steps.Length != states.Count)
            throw PayloadReader.Damaged($"the optimizer has {states.Count} parameters and the checkpoint {steps.Length}");
        for (int i = 0; i < states.Count; i++)
        {
            if (states[i] is Adam.State adam)
                adam.step = steps[i];
            else if (states[i] is AdamW.State adamW)
                adamW.step = steps[i];
            else if (states[i] is SGD.State sgd && arrays.TryGetValue($"{Prefix}{i}/momentum", out NamedArray? momentum))
                sgd.momentum_buffer = tensor(momentum.Values, momentum.Shape).DetachFromDisposeScope();
        }
        foreach ((string name, Tensor target) in Tensors())
            NamedTensors.Copy(arrays, Prefix + name, target);
    }

    public void Dispose() => _optimizer.Dispose();

    private IEnumerable<(string Name, Tensor Tensor)> Tensors()
    {
        List<OptimizerState> states = _optimizer.state_dict().State;
        for (int i = 0; i < states.Count; i++)
        {
            switch (states[i])
            {
                case Adam.State adam:
                    yield return ($"{i}/mean", adam.exp_avg);
                    yield return ($"{i}/square", adam.exp_avg_sq);
                    break;
                case AdamW.State adam:
                    yield return ($"{i}/mean", adam.exp_avg);
                    yield return ($"{i}/square", adam.exp_avg_sq);
                    break;
                case SGD.State { momentum_buffer: { } momentum }:
                    yield return ($"{i}/momentum", momentum);
                    break;
            }
        }
    }
}
