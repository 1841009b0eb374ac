using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Persistence;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>
/// The steps of <see cref="WeightOptimizer"/> for a weight <c>[outputs, slots]</c> of which a batch uses a few slots. A slot that is not in
/// use still moves: by what its moments remember, and by weight decay. It does so when it is needed again, step by step with the learning
/// rates of the time, so that the result is that of the same steps made at once, up to rounding, and does not depend on when it is asked
/// for.
/// </summary>
/// <remarks>Moments stay as they were after a slot's last use; what has become of them since is a power of their decay.</remarks>
internal sealed unsafe class SlotOptimizer
{
    /// <summary>A moment that has fallen to this share moves no weight any more that float32 could tell.</summary>
    private const double Forgotten = 1e-11;

    private const int StepsAtOnce = 64;
    private const int SlotsOfABlock = 64;

    private readonly NeuralOdeOptimizer _kind;
    private readonly double _decay;
    private readonly double _momentum;
    private readonly Parameter _weight;
    private readonly int _outputs;
    private readonly float[] _mean;
    private readonly float[] _square;
    private readonly int[] _lastUse;
    private readonly int[] _current;
    private readonly float[] _meanPowers;
    private readonly float[] _squareRootPowers;
    private readonly List<StepNumbers> _steps = [];
    private int _settled;

    /// <param name="plan">How to train.</param>
    /// <param name="weight">In the host's memory, slot by slot.</param>
    public SlotOptimizer(TrainingPlan plan, Parameter weight)
    {
        _kind = plan.Optimizer;
        _decay = plan.Optimizer == NeuralOdeOptimizer.AdamW ? plan.WeightDecay : 0;
        _momentum = IsAdam ? WeightOptimizer.MeanDecay : plan.Momentum;
        _weight = weight;
        _outputs = (int)weight.shape[0];
        int slots = (int)weight.shape[1];
        // Memory that is never written is not taken from the system: slots that never occur cost nothing.
        _mean = new float[_momentum > 0 ? (long)slots * _outputs : 0];
        _square = new float[IsAdam ? (long)slots * _outputs : 0];
        _lastUse = new int[slots];
        _current = new int[slots];
        int idle = _momentum > 0 ? (int)Math.Ceiling(Math.Log(Forgotten) / Math.Log(_momentum)) : 0;
        _meanPowers = [.. Enumerable.Range(0, idle + 1).Select(steps => (float)Math.Pow(_momentum, steps))];
        _squareRootPowers = [.. Enumerable.Range(0, idle + 1).Select(steps => (float)Math.Pow(WeightOptimizer.SquareDecay, steps / 2.0))];
    }

    /// <summary>The steps that were made.</summary>
    public long Steps { get; private set; }

    private bool IsAdam => _kind != NeuralOdeOptimizer.Sgd;

    /// <summary>
    /// Whether slots that are not in use can wait: where their gradients are zero, which weight decay as a part of the gradient is not.
    /// </summary>
    public static bool Suits(TrainingPlan plan) => plan.Optimizer == NeuralOdeOptimizer.AdamW || plan.WeightDecay == 0;

    /// <summary>Makes all steps up to now for some slots.</summary>
    public void BringUpToDate(long[] slots) => ForEach(slots.Length, (weights, i) => Follow(weights, slots[i]));

    /// <summary>Makes all steps up to now for all slots: the weight is then as it would be with the usual optimizer.</summary>
    public void Settle()
    {
        if (_steps.Count == 0)
            return;
        ForEach(_lastUse.Length, (weights, slot) => Follow(weights, slot));
        _settled = (int)Steps;
        _steps.Clear();
    }

    /// <summary>One step; the slots must be up to date.</summary>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="slots">The slots in use.</param>
    /// <param name="gradient">Their gradients, <c>[slots, outputs]</c>; zero for all others.</param>
    public void Step(double learningRate, long[] slots, Tensor gradient)
    {
        int step = checked((int)++Steps);
        StepNumbers numbers = IsAdam
            ? new StepNumbers(
                (float)(learningRate / (1 - Math.Pow(WeightOptimizer.MeanDecay, step))),
                (float)(1 / Math.Sqrt(1 - Math.Pow(WeightOptimizer.SquareDecay, step))), (float)(1 - learningRate * _decay))
            : new StepNumbers((float)learningRate, 1, 1);
        _steps.Add(numbers);
        if (slots.Length == 0)
            return;
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = gradient.detach().contiguous();
        nint gradients = (nint)StateKernels.Address(rows);
        ForEach(slots.Length, (weights, i) =>
            Move(weights, slots[i], new ReadOnlySpan<float>((float*)gradients + (nint)i * _outputs, _outputs), numbers, step));
        GC.KeepAlive(rows);
    }

    /// <summary>What is remembered, by name.</summary>
    public IEnumerable<NamedArray> ToArrays()
    {
        Settle();
        if (_momentum > 0)
            yield return new NamedArray("mean", [_lastUse.Length, _outputs], _mean);
        if (IsAdam)
            yield return new NamedArray("square", [_lastUse.Length, _outputs], _square);
        yield return new NamedArray("idle", [_lastUse.Length], [.. _lastUse.Select(last => last == 0 ? -1f : Steps - last)]);
    }

    /// <summary>The number of those arrays.</summary>
    public int ArrayCount => 1 + (_momentum > 0 ? 1 : 0) + (IsAdam ? 1 : 0);

    /// <summary>Puts back what <see cref="ToArrays"/> gave after so many steps.</summary>
    /// <exception cref="InvalidDataException">The arrays are not those of this optimizer.</exception>
    public void Restore(IReadOnlyDictionary<string, NamedArray> arrays, string prefix, long steps)
    {
        if (_momentum > 0)
            Values("mean", _mean.Length).CopyTo(_mean, 0);
        if (IsAdam)
            Values("square", _square.Length).CopyTo(_square, 0);
        float[] idle = Values("idle", _lastUse.Length);
        for (int slot = 0; slot < idle.Length; slot++)
        {
            if (!(idle[slot] >= -1 && idle[slot] < Math.Max(steps, 1)))
                throw PayloadReader.Damaged($"'{prefix}idle' holds {idle[slot]} after {steps} steps");
            _lastUse[slot] = idle[slot] < 0 ? 0 : (int)(steps - (long)idle[slot]);
            _current[slot] = (int)steps;
        }
        Steps = steps;
        _settled = (int)steps;

        float[] Values(string name, int length) => arrays.TryGetValue(prefix + name, out NamedArray? array) && array.Values.Length == length
            ? array.Values
            : throw PayloadReader.Damaged($"'{prefix}{name}' is missing or has the wrong shape");
    }

    private void ForEach(int count, Action<nint, int> body)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor bySlot = _weight.t();
        nint weights = (nint)StateKernels.Address(bySlot);
        int workers =
            RowBlocks.Workers(count, SlotsOfABlock, (double)count * _outputs * Math.Max(1, Math.Min(_steps.Count, _meanPowers.Length)));
        RowBlocks.Run(workers, count, SlotsOfABlock, (_, start, size) =>
        {
            for (int i = (int)start; i < start + size; i++)
                body(weights, i);
        });
        GC.KeepAlive(bySlot);
    }

    /// <summary>The steps that a slot has not made yet, none of which used it.</summary>
    private void Follow(nint weights, long slot)
    {
        int from = _current[slot], to = (int)Steps, last = _lastUse[slot];
        _current[slot] = to;
        if (_decay == 0)
            to = last == 0 ? from : Math.Min(to, last + _meanPowers.Length - 1);
        Span<StepNumbers> steps = stackalloc StepNumbers[StepsAtOnce];
        for (int first = from + 1; first <= to; first += StepsAtOnce)
        {
            int count = Math.Min(StepsAtOnce, to - first + 1);
            for (int i = 0; i < count; i++)
            {
                StepNumbers numbers = _steps[first + i - 1 - _settled];
                int idle = first + i - last;
                steps[i] = last > 0 && idle < _meanPowers.Length
                    ? numbers with { Rate = numbers.Rate * _meanPowers[idle], Correction = numbers.Correction * _squareRootPowers[idle] }
                    : numbers with { Rate = 0 };
            }
            Follow((float*)weights + (nint)slot * _outputs, slot * _outputs, steps[..count]);
        }
    }

    private void Follow(float* weights, long start, ReadOnlySpan<StepNumbers> steps)
    {
        int output = 0;
        fixed (float* mean = _mean, square = _square)
        {
            for (; output <= _outputs - Vector<float>.Count; output += Vector<float>.Count)
            {
                Vector<float> w = Vector.Load(weights + output);
                Vector<float> m = mean == null ? Vector<float>.Zero : Vector.Load(mean + start + output);
                Vector<float> root = square == null ? Vector<float>.Zero : Vector.SquareRoot(Vector.Load(square + start + output));
                foreach (StepNumbers step in steps)
                {
                    w *= new Vector<float>(step.Decay);
                    if (step.Rate != 0)
                        w -= square == null
                            ? new Vector<float>(step.Rate) * m
                            : new Vector<float>(step.Rate) * m
                                / (root * new Vector<float>(step.Correction) + new Vector<float>((float)WeightOptimizer.Epsilon));
                }
                w.Store(weights + output);
            }
            for (; output < _outputs; output++)
            {
                float w = weights[output], m = mean == null ? 0 : mean[start + output],
                    root = square == null ? 0 : MathF.Sqrt(square[start + output]);
                foreach (StepNumbers step in steps)
                {
                    w *= step.Decay;
                    if (step.Rate != 0)
                        w -= square == null ? step.Rate * m : step.Rate * m / (root * step.Correction + (float)WeightOptimizer.Epsilon);
                }
                weights[output] = w;
            }
        }
    }

    /// <summary>A step that uses a slot.</summary>
    private void Move(nint weights, long slot, ReadOnlySpan<float> gradient, StepNumbers numbers, int step)
    {
        int idle = step - _lastUse[slot];
        bool isKnown = _lastUse[slot] > 0;
        float keptMean = isKnown && idle < _meanPowers.Length ? _meanPowers[idle] : 0;
        float keptSquare = isKnown ? (float)Math.Pow(WeightOptimizer.SquareDecay, idle) : 0;
        _lastUse[slot] = _current[slot] = step;
        float* w = (float*)weights + (nint)slot * _outputs;
        long start = slot * _outputs;
        for (int output = 0; output < _outputs; output++)
        {
            float g = gradient[output];
            w[output] *= numbers.Decay;
            if (IsAdam)
            {
                float mean = _mean[start + output] * keptMean + g * (float)(1 - WeightOptimizer.MeanDecay);
                float square = _square[start + output] * keptSquare + g * g * (float)(1 - WeightOptimizer.SquareDecay);
                (_mean[start + output], _square[start + output]) = (mean, square);
                w[output] -= numbers.Rate * mean / (MathF.Sqrt(square) * numbers.Correction + (float)WeightOptimizer.Epsilon);
                continue;
            }
            float move = _momentum > 0 ? _mean[start + output] = _mean[start + output] * keptMean + g : g;
            w[output] -= numbers.Rate * move;
        }
    }

    /// <summary>The numbers of a step.</summary>
    /// <param name="Rate">What the mean, over the root, is multiplied with.</param>
    /// <param name="Correction">What the root of the mean square is multiplied with.</param>
    /// <param name="Decay">What the weight is multiplied with before.</param>
    private readonly record struct StepNumbers(float Rate, float Correction, float Decay);
}
