using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The stages of an explicit Runge–Kutta step, k_i = f(t + c_i h, x + h Σ_j a_ij k_j): evaluates them again, unless they were kept, and
/// carries gradients of the k_i back to x, the parameters and the times.
/// </summary>
/// <remarks>
/// Where the result is Σ_i w_i h k_i and g its gradient, stage i gets K̄_i = h (w_i g + Σ_{j&gt;i} a_ji v_j) and gives v_i = K̄_iᵀ ∂f/∂y at
/// its input; x gets Σ_i v_i (E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration, VI.10, for the transposed method).
/// </remarks>
internal sealed class StageReversal : IDisposable
{
    private readonly BackwardSweep _sweep;
    private readonly ButcherTableau _tableau;
    private readonly StepSpan _span;
    private readonly StateArithmetic _arithmetic;
    private readonly Pullback.Evaluation?[] _evaluations;
    // The graph behind an evaluation reads its input's memory when it is pulled.
    private readonly Tensor?[] _inputs;
    private readonly Tensor?[] _pulled;

    /// <param name="sweep">The sweep.</param>
    /// <param name="tableau">The method.</param>
    /// <param name="span">The step.</param>
    /// <param name="like">A tensor like x.</param>
    /// <param name="state">x; null where all stages were kept.</param>
    /// <param name="count">How many stages, those of the interpolant behind the method's own.</param>
    /// <param name="kept">The first stages, which become this object's, where they were kept.</param>
    /// <param name="needsValues">Whether <see cref="Derivatives"/> are wanted of stages that were kept, too.</param>
    public StageReversal(
        BackwardSweep sweep, ButcherTableau tableau, StepSpan span, Tensor like, Tensor? state, int count, Pullback.Evaluation[] kept,
        bool needsValues = false)
    {
        _sweep = sweep;
        _tableau = tableau;
        _span = span;
        _arithmetic = sweep.Arithmetic(like, span.Start.Length);
        _evaluations = new Pullback.Evaluation?[count];
        _inputs = new Tensor?[count];
        _pulled = new Tensor?[count];
        Derivatives = new Tensor[count];
        for (int i = 0; i < kept.Length; i++)
        {
            _evaluations[i] = kept[i];
            if (needsValues || count > kept.Length || sweep.Times is not null)
                Derivatives[i] = kept[i].Value;
        }
        using var table = new StepTable(span.Start.Length, span, [.. tableau.A, .. tableau.Extension.ExtraA]);
        for (int i = kept.Length; i < count; i++)
        {
            _inputs[i] = i == 0 ? null : _arithmetic.Combine(state, table, i, Derivatives.AsSpan(0, i));
            Pullback.Evaluation evaluation = sweep.Evaluate(span, Node(i), _inputs[i] ?? state!);
            _evaluations[i] = evaluation;
            Derivatives[i] = evaluation.Value;
            if (evaluation.ReadsState)
                continue;
            _arithmetic.Release(_inputs[i]);
            _inputs[i] = null;
        }
    }

    /// <summary>k_i; of stages that were kept only where gradients of the times, or further stages, are made of them.</summary>
    public Tensor[] Derivatives { get; }

    /// <summary>v_i, after <see cref="Pull"/>.</summary>
    public IEnumerable<Tensor> Pulled => _pulled!;

    /// <summary>Goes back through the stages once.</summary>
    /// <param name="parts">Gradients g.</param>
    /// <param name="weights">For each of them w, lane-major: <c>[lane * stages + stage]</c>.</param>
    public void Pull(IReadOnlyList<Tensor> parts, IReadOnlyList<double[]> weights)
    {
        int stages = Derivatives.Length;
        double[][] rows = [.. Enumerable.Range(0, stages).Select(stage => CotangentWeights(stage, weights))];
        using var table = new StepTable(_span.Start.Length, _span, rows, perLane: true);
        for (int i = stages - 1; i >= 0; i--)
        {
            Tensor cotangent = _arithmetic.Combine(null, table, i, [.. parts, .. _pulled.AsSpan(i + 1)!]);
            _pulled[i] = _sweep.Pull(_evaluations[i]!, cotangent, _span, Node(i));
            _arithmetic.Release(cotangent);
        }
        if (_sweep.Times is not null)
            AddSizes(parts, weights);
    }

    public void Dispose()
    {
        foreach (Pullback.Evaluation? evaluation in _evaluations)
            evaluation?.Dispose();
        foreach (Tensor? tensor in _pulled)
            tensor?.Dispose();
        foreach (Tensor? input in _inputs)
            _arithmetic.Release(input);
    }

    /// <summary>a_i of a stage, of the method or of its interpolant alone.</summary>
    private double[] Row(int stage) => stage < _tableau.Stages ? _tableau.A[stage] : _tableau.Extension.ExtraA[stage - _tableau.Stages];

    private double Node(int stage) => stage < _tableau.Stages ? _tableau.C[stage] : _tableau.Extension.ExtraC[stage - _tableau.Stages];

    /// <summary>What K̄ of a stage is made of, lane-major: w of each gradient, then a of each later stage.</summary>
    private double[] CotangentWeights(int stage, IReadOnlyList<double[]> weights)
    {
        int lanes = _span.Start.Length;
        int stages = Derivatives.Length;
        int width = weights.Count + stages - stage - 1;
        var result = new double[lanes * width];
        for (int lane = 0; lane < lanes; lane++)
        {
            Span<double> row = result.AsSpan(lane * width, width);
            for (int o = 0; o < weights.Count; o++)
                row[o] = weights[o][lane * stages + stage];
            for (int j = stage + 1; j < stages; j++)
                row[weights.Count + j - stage - 1] = Row(j)[stage];
        }
        return result;
    }

    /// <summary>The step size multiplies the k_i in the result and in the stages' inputs.</summary>
    private void AddSizes(IReadOnlyList<Tensor> parts, IReadOnlyList<double[]> weights)
    {
        int lanes = _span.Start.Length;
        int stages = Derivatives.Length;
        var sizes = new double[lanes];
        for (int i = 0; i < stages; i++)
        {
            for (int o = 0; o < parts.Count; o++)
            {
                double[] dots = BackwardSweep.Dots(parts[o], Derivatives[i], lanes);
                for (int lane = 0; lane < lanes; lane++)
                    sizes[lane] += weights[o][lane * stages + i] * dots[lane];
            }
            for (int j = 0; j < i; j++)
            {
                double a = Row(i)[j];
                if (a == 0)
                    continue;
                double[] dots = BackwardSweep.Dots(_pulled[i]!, Derivatives[j], lanes);
                for (int lane = 0; lane < lanes; lane++)
                    sizes[lane] += a * dots[lane];
            }
        }
        _sweep.AddSizes(_span, sizes);
    }
}
