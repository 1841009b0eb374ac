using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Fitting;
using Microsoft.ML.NeuralOde.Persistence;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Moves weights against their gradients, and gives what it remembers as arrays.</summary>
/// <remarks>
/// The formulas are torch's. TorchSharp's own optimizers hand torch numbers that a garbage collection on another thread may free meanwhile,
/// see <see cref="Numbers"/>: a training beside other work would fail now and then.
/// </remarks>
internal sealed class WeightOptimizer : IDisposable
{
    private const string Prefix = "optimizer/";
    private const string SlotPrefix = "slots/";

    public const double MeanDecay = 0.9, SquareDecay = 0.999, Epsilon = 1e-8;

    /// <summary>Adam's first step is the learning rate over 1 − 0.9, which must be a number of float32.</summary>
    public const double LargestLearningRate = float.MaxValue * (1 - MeanDecay) * (1 - 1e-6);

    private readonly TrainingPlan _plan;
    private readonly Weight[] _weights;
    private readonly SlotOptimizer? _slots;
    private readonly string _slotsName = "";

    /// <param name="plan">How to train.</param>
    /// <param name="module">What has the weights.</param>
    /// <param name="slotWeight">The one of them of which batches use a few slots; null for none.</param>
    public WeightOptimizer(TrainingPlan plan, nn.Module module, Parameter? slotWeight = null)
    {
        _plan = plan;
        var weights = new List<Weight>();
        foreach ((string name, Parameter parameter) in module.named_parameters())
        {
            if (ReferenceEquals(parameter, slotWeight) && SlotOptimizer.Suits(plan))
                (_slots, _slotsName) = (new SlotOptimizer(plan, parameter), name);
            else
                weights.Add(new Weight(name, parameter, plan.Optimizer != NeuralOdeOptimizer.Sgd));
        }
        _weights = [.. weights];
    }

    /// <summary>Whether there is a weight that moves slot by slot.</summary>
    public bool HasSlots => _slots is not null;

    /// <summary>The steps that were made with each parameter, where the optimizer counts them.</summary>
    public long[] Steps => [.. _weights.Select(weight => weight.Moments?.Steps ?? 0), .. _slots is null ? Array.Empty<long>() : [_slots.Steps]];

    /// <summary>Before the weights of some slots are read: makes the steps for them that have waited.</summary>
    public void BringUpToDate(long[]? slots)
    {
        if (slots is not null)
            _slots?.BringUpToDate(slots);
    }

    /// <summary>Before all weights are read: makes all steps that have waited.</summary>
    public void Settle() => _slots?.Settle();

    /// <summary>The gradients of the weights that have one; in the caller's dispose scope.</summary>
    /// <param name="slots">The weights of the slots in use, where there are such.</param>
    public IReadOnlyList<WeightGradient> Gradients(SlotWeights? slots = null)
    {
        var gradients = new List<WeightGradient>(_weights.Length + 1);
        foreach (Weight weight in _weights)
            if (weight.Parameter.grad is { } gradient)
                gradients.Add(new WeightGradient(weight.Name, gradient));
        if (_slots is not null && slots is not null)
            gradients.Add(new WeightGradient(_slotsName, slots.Values.grad ?? zeros_like(slots.Values), slots.Slots));
        return gradients;
    }

    public void ZeroGradients()
    {
        using DisposeScope scope = NewDisposeScope();
        TensorLists.Zero([.. _weights.Select(weight => weight.Parameter.grad).OfType<Tensor>()]);
    }

    /// <summary>One step by the gradients that the weights have.</summary>
    public void Step(double learningRate)
    {
        using DisposeScope scope = NewDisposeScope();
        Step(learningRate, Gradients());
    }

    /// <summary>One step.</summary>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="gradients">What <see cref="Gradients"/> gave, or what became of it.</param>
    public void Step(double learningRate, IReadOnlyList<WeightGradient> gradients)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using Scalar decay = _plan.WeightDecay, down = -learningRate, momentum = _plan.Momentum;
        bool isDecoupled = _plan.Optimizer == NeuralOdeOptimizer.AdamW;
        var remembered = new List<(AdamMoments, Tensor)>(_weights.Length);
        int next = 0;
        foreach (Weight weight in _weights)
        {
            if (next == gradients.Count || gradients[next].Name != weight.Name)
                continue;
            Tensor gradient = gradients[next++].Values;
            if (!isDecoupled && _plan.WeightDecay != 0)
                gradient = gradient.add(weight.Parameter, decay);
            if (weight.Moments is { } moments)
                remembered.Add((moments, gradient));
            else if (_plan.Momentum != 0)
                weight.Parameter.add_(weight.Momentum(gradient, momentum), down);
            else
                weight.Parameter.add_(gradient, down);
        }
        AdamMoments.Follow(remembered, learningRate, isDecoupled ? _plan.WeightDecay : 0);
        if (_slots is not null && next < gradients.Count)
            _slots.Step(learningRate, gradients[next].Slots!, gradients[next].Values);
    }

    /// <summary>The number of arrays that it remembers.</summary>
    public int ArrayCount => Tensors().Count() + (_slots?.ArrayCount ?? 0);

    /// <summary>Moments and momenta, each copied when it is asked for.</summary>
    public IEnumerable<NamedArray> ToArrays() => Tensors().Select(pair => NamedTensors.ToArray(Prefix + pair.Name, pair.Tensor))
        .Concat(_slots?.ToArrays().Select(array => array with { Name = Prefix + SlotPrefix + array.Name }) ?? []);

    /// <summary>Puts back what <see cref="ToArrays"/> and <see cref="Steps"/> gave.</summary>
    /// <exception cref="InvalidDataException">The arrays are not those of this optimizer.</exception>
    public void Restore(IReadOnlyDictionary<string, NamedArray> arrays, long[] steps)
    {
        int count = _weights.Length + (_slots is null ? 0 : 1);
        if (steps.Length != count)
            throw PayloadReader.Damaged($"the optimizer has {count} parameters and the checkpoint {steps.Length}");
        _slots?.Restore(arrays, Prefix + SlotPrefix, steps[^1]);
        for (int i = 0; i < _weights.Length; i++)
        {
            if (_weights[i].Moments is { } moments)
                moments.Steps = steps[i];
            // Momentum begins with the first gradient.
            if (_plan.Optimizer == NeuralOdeOptimizer.Sgd && arrays.ContainsKey($"{Prefix}{i}/momentum"))
                _weights[i].BeginMomentum();
        }
        NamedTensors.Fill(Tensors(), arrays, Prefix);
    }

    public void Dispose()
    {
        foreach (Weight weight in _weights)
            weight.Dispose();
    }

    private IEnumerable<(string Name, Tensor Tensor)> Tensors() =>
        _weights.SelectMany((weight, i) => weight.Tensors().Select(pair => ($"{i}/{pair.Name}", pair.Tensor)));

    /// <summary>A parameter and what is remembered of its gradients.</summary>
    private sealed class Weight : IDisposable
    {
        private Tensor? _momentum;

        public Weight(string name, Parameter parameter, bool hasMoments)
        {
            Name = name;
            Parameter = parameter;
            Moments = hasMoments ? new AdamMoments(parameter, MeanDecay, SquareDecay, Epsilon) : null;
        }

        public string Name { get; }

        public Parameter Parameter { get; }

        /// <summary>What Adam remembers; null for other optimizers.</summary>
        public AdamMoments? Moments { get; }

        /// <summary>The sum of the gradients so far, each weighted by a power of the momentum.</summary>
        public Tensor Momentum(Tensor gradient, Scalar momentum)
        {
            if (_momentum is not null)
                return _momentum.mul_(momentum).Add(gradient);
            BeginMomentum();
            return _momentum!.copy_(gradient);
        }

        public void BeginMomentum()
        {
            using IDisposable noGrad = no_grad();
            _momentum ??= zeros_like(Parameter).DetachFromDisposeScope();
        }

        public IEnumerable<(string Name, Tensor Tensor)> Tensors()
        {
            if (Moments is not null)
            {
                yield return ("mean", Moments.Mean);
                yield return ("square", Moments.Square);
            }
            if (_momentum is not null)
                yield return ("momentum", _momentum);
        }

        public void Dispose()
        {
            Moments?.Dispose();
            _momentum?.Dispose();
        }
    }
}
