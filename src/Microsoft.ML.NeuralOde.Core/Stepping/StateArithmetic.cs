using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// How states are combined: in reused memory where no gradient is recorded, or through tensor operations that become part of the graph.
/// Methods are written once against this class.
/// </summary>
internal abstract class StateArithmetic : IDisposable
{
    protected StateArithmetic(int lanes) => Lanes = lanes;

    /// <summary>1, or the number of rows that have their own step sizes.</summary>
    public int Lanes { get; private set; }

    /// <summary>Chooses the fused arithmetic where it applies.</summary>
    public static StateArithmetic Create(Tensor state, int lanes, bool differentiable) =>
        !differentiable && StateKernels.Supports(state) ? new FusedArithmetic(lanes) : new TensorArithmetic(lanes);

    /// <summary>y + h Σ_j w_j k_j. The result belongs to the caller, who gives it back by <see cref="Release"/>.</summary>
    /// <param name="y">The state; null for zero.</param>
    /// <param name="step">Gives h; null for h = 1.</param>
    /// <param name="weights">One weight a k, or, lane-major, one a lane and k.</param>
    /// <param name="k">The stage derivatives.</param>
    public Tensor Combine(Tensor? y, StepSpan? step, ReadOnlySpan<double> weights, ReadOnlySpan<Tensor> k)
    {
        using StepTable table = Table(step, weights, k.Length);
        return Combine(y, table, 0, k);
    }

    /// <summary>The same with the weights of a table's row.</summary>
    public abstract Tensor Combine(Tensor? y, StepTable table, int row, ReadOnlySpan<Tensor> k);

    /// <summary>y + Σ_j w_j k_j with weights of shape <c>[lanes, k]</c> that carry derivatives.</summary>
    public abstract Tensor CombineTracked(Tensor y, Tensor weights, ReadOnlySpan<Tensor> k);

    /// <summary>Lane by lane one of two states. Both stay the caller's.</summary>
    public abstract Tensor Select(bool[] mask, Tensor ifTrue, Tensor ifFalse);

    /// <summary>A tensor of the caller's own that holds the same values.</summary>
    public abstract Tensor Copy(Tensor state);

    /// <summary>A tensor of the caller's own, like another and with any contents.</summary>
    public abstract Tensor Rent(Tensor like);

    /// <summary>Makes a state of the arithmetic one that the caller disposes of.</summary>
    public virtual Tensor Disown(Tensor state) => state;

    /// <summary>Gives a state back.</summary>
    public abstract void Release(Tensor? state);

    /// <summary>
    /// From now on only these lanes exist; states of the old size are the caller's to <see cref="Keep"/> or release before.
    /// </summary>
    public virtual void Resize(int lanes) => Lanes = lanes;

    /// <summary>The named lanes of a state, which is released.</summary>
    public Tensor Keep(Tensor state, int[] lanes)
    {
        using Tensor index = tensor(Array.ConvertAll(lanes, l => (long)l), ScalarType.Int64, state.device);
        Tensor kept = state.index_select(0, index).DetachFromDisposeScope();
        Release(state);
        return kept;
    }

    /// <summary>The error e = h Σ_j w_j k_j of a step, in units of the tolerances, lane by lane; NaN where it is not finite.</summary>
    public double[] ScaledError(
        Tensor y0, Tensor y1, StepSpan? step, ReadOnlySpan<double> weights, ReadOnlySpan<Tensor> k, OdeSolverOptions options)
    {
        using StepTable table = Table(step, weights, k.Length);
        return ScaledErrors(y0, y1, table, [0], k, options)[0];
    }

    /// <summary>The same of several rows of a table, which one wait for the device is enough for.</summary>
    public double[][] ScaledErrors(
        Tensor y0, Tensor y1, StepTable table, ReadOnlySpan<int> rows, ReadOnlySpan<Tensor> k, OdeSolverOptions options)
    {
        var results = new double[rows.Length][];
        if (options.RelativeTolerances is null && options.AbsoluteTolerances is null && StateKernels.Supports(y0))
        {
            int known = 0;
            for (; known < rows.Length; known++)
            {
                results[known] = new double[Lanes];
                if (!options.Norm.Measure.TryOf(
                    results[known], y0, y1, table.Numbers(rows[known]), k, options.RelativeTolerance, options.AbsoluteTolerance))
                    break;
            }
            if (known == rows.Length)
                return results;
        }

        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(Lanes);
        var errors = new Tensor[rows.Length];
        for (int i = 0; i < errors.Length; i++)
            errors[i] = arithmetic.Sum(null, table, rows[i], k);
        Tensor error = errors.Length == 1 ? errors[0] : stack(errors);
        Tensor ratio = Ratio(error, y0, y1, options).reshape(errors.Length * Lanes, y0.numel() / Math.Max(1, Lanes));
        double[] numbers = options.Norm.Measure.Read(ratio, Lanes);
        for (int i = 0; i < results.Length; i++)
            results[i] = numbers[(i * Lanes)..((i + 1) * Lanes)];
        return results;
    }

    /// <summary>error / (atol + rtol max(|y0|, |y1|)) component by component.</summary>
    public static Tensor Ratio(Tensor error, Tensor y0, Tensor y1, OdeSolverOptions options)
    {
        Tensor size = ReferenceEquals(y0, y1) ? y0.abs() : TensorLists.LargerMagnitude(y0, y1);
        Tensor scale = (options.RelativeTolerances, options.AbsoluteTolerances) switch
        {
            ({ } r, { } a) => (size * r.to(size.dtype, size.device)).Plus(a.to(size.dtype, size.device)),
            ({ } r, null) => (size * r.to(size.dtype, size.device)).Plus(options.AbsoluteTolerance),
            (null, { } a) => size.Times(options.RelativeTolerance).Plus(a.to(size.dtype, size.device)),
            _ => size.Line(options.RelativeTolerance, options.AbsoluteTolerance),
        };
        // Above 0, so that a component that is and stays 0 has no error.
        double least = size.dtype == ScalarType.Float16 ? 6e-8
            : size.dtype == ScalarType.Float64 ? 2.2250738585072014E-308 : 1.17549435E-38;
        return error / (options.AbsoluteTolerances is null && options.AbsoluteTolerance >= least ? scale : scale.AtLeast(least));
    }

    public abstract void Dispose();

    private StepTable Table(StepSpan? step, ReadOnlySpan<double> weights, int count) =>
        new(Lanes, step, [weights.ToArray()], perLane: weights.Length != count);
}

/// <summary>States in CPU memory that is taken from a pool and given back: a step allocates nothing that grows.</summary>
internal sealed class FusedArithmetic : StateArithmetic
{
    private readonly HashSet<Tensor> _owned = new(ReferenceEqualityComparer.Instance);
    private readonly Stack<Tensor> _free = new();

    public FusedArithmetic(int lanes)
        : base(lanes)
    {
    }

    public override Tensor Combine(Tensor? y, StepTable table, int row, ReadOnlySpan<Tensor> k)
    {
        Tensor target = Rent(y ?? k[0]);
        StateKernels.Combine(target, y, table.Numbers(row), k, Lanes);
        return target;
    }

    public override Tensor CombineTracked(Tensor y, Tensor weights, ReadOnlySpan<Tensor> k) =>
        throw new InvalidOperationException("Weights with derivatives need the differentiable arithmetic.");

    public override Tensor Select(bool[] mask, Tensor ifTrue, Tensor ifFalse)
    {
        Tensor target = Copy(ifFalse);
        StateKernels.CopyLanes(target, ifTrue, mask);
        return target;
    }

    public override Tensor Copy(Tensor state)
    {
        Tensor target = Rent(state);
        state.bytes.CopyTo(target.bytes);
        return target;
    }

    public override void Release(Tensor? state)
    {
        if (state is null)
            return;
        if (_owned.Contains(state))
            _free.Push(state);
        else
            state.Dispose();
    }

    public override Tensor Disown(Tensor state)
    {
        _owned.Remove(state);
        return state;
    }

    public override void Resize(int lanes)
    {
        base.Resize(lanes);
        foreach (Tensor buffer in _free)
        {
            _owned.Remove(buffer);
            buffer.Dispose();
        }
        _free.Clear();
    }

    public override void Dispose()
    {
        foreach (Tensor buffer in _owned)
            buffer.Dispose();
        _owned.Clear();
        _free.Clear();
    }

    public override Tensor Rent(Tensor like)
    {
        if (_free.TryPop(out Tensor? buffer))
            return buffer;
        buffer = empty_like(like).DetachFromDisposeScope();
        _owned.Add(buffer);
        return buffer;
    }
}

/// <summary>States through tensor operations: any device and type, and differentiable, twice too.</summary>
internal sealed class TensorArithmetic : StateArithmetic
{
    public TensorArithmetic(int lanes)
        : base(lanes)
    {
    }

    public override Tensor Combine(Tensor? y, StepTable table, int row, ReadOnlySpan<Tensor> k)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor sum = Sum(y, table, row, k);
        bool isGiven = ReferenceEquals(sum, y) || Array.Exists(k.ToArray(), one => ReferenceEquals(one, sum));
        return (isGiven ? sum.alias() : sum).DetachFromDisposeScope();
    }

    public override Tensor CombineTracked(Tensor y, Tensor weights, ReadOnlySpan<Tensor> k)
    {
        using DisposeScope scope = NewDisposeScope();
        return Apply(weights, [.. k]).Plus(y).DetachFromDisposeScope();
    }

    public override Tensor Select(bool[] mask, Tensor ifTrue, Tensor ifFalse)
    {
        var shape = new long[ifTrue.dim()];
        Array.Fill(shape, 1);
        if (shape.Length > 0)
            shape[0] = mask.Length;
        using Tensor condition = tensor(mask, device: ifTrue.device).reshape(shape);
        return where(condition, ifTrue, ifFalse).DetachFromDisposeScope();
    }

    public override Tensor Copy(Tensor state) => state.alias().DetachFromDisposeScope();

    public override Tensor Rent(Tensor like) => empty_like(like).DetachFromDisposeScope();

    public override void Release(Tensor? state) => state?.Dispose();

    public override void Dispose()
    {
    }

    /// <summary>y + h Σ_j w_j k_j in the current scope; may be y or one of the k.</summary>
    public Tensor Sum(Tensor? y, StepTable table, int row, ReadOnlySpan<Tensor> k)
    {
        int[] columns = table.Columns(row);
        if (columns.Length == 0)
            return y ?? zeros_like(k[0]);
        // The state is one more term, the last: it is as large as the sum, the others are small beside it. Not where it alone carries
        // derivatives, which pass an addition as they are.
        bool isLast = y is not null && !table.IsTracked && (!y.requires_grad || CarryDerivatives(k));
        var terms = new Tensor[columns.Length + (isLast ? 1 : 0)];
        for (int i = 0; i < columns.Length; i++)
            terms[i] = k[columns[i]];
        if (isLast)
            terms[^1] = y!;
        if (table.IsPlainSum(row) && (y is null || isLast))
            return terms.Length == 1 ? terms[0] : stack(terms).sum([0L]);
        Tensor sum = Apply(table.Weights(row, k[0], withState: isLast), terms);
        return y is null || isLast ? sum : y.Plus(sum);
    }

    private static bool CarryDerivatives(ReadOnlySpan<Tensor> tensors)
    {
        foreach (Tensor tensor in tensors)
            if (tensor.requires_grad)
                return true;
        return false;
    }

    /// <summary>Σ_j w_j k_j with weights of shape <c>[lanes, k]</c>.</summary>
    private Tensor Apply(Tensor weights, Tensor[] k)
    {
        // By a vector: products of matrices may be computed in a shorter type on a card (TF32), where a program allows it.
        Tensor sum = Lanes == 1 ? stack(k).reshape(k.Length, k[0].numel()).t().mv(weights.reshape(-1))
            : (stack(k).reshape(k.Length, Lanes, k[0].numel() / Math.Max(1, Lanes)) * weights.t().unsqueeze(-1)).sum([0L]);
        return sum.reshape(k[0].shape);
    }
}
