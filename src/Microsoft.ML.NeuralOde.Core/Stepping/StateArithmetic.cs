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
    public abstract Tensor Combine(Tensor? y, StepSpan? step, ReadOnlySpan<double> weights, ReadOnlySpan<Tensor> k);

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
        var result = new double[Lanes];
        double[] coefficients = Scale(step, weights, k.Length);
        bool scalarTolerances = options.RelativeTolerances is null && options.AbsoluteTolerances is null;
        if (scalarTolerances && StateKernels.Supports(y0)
            && options.Norm.Measure.TryOf(result, y0, y1, coefficients, k, options.RelativeTolerance, options.AbsoluteTolerance))
            return result;

        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var arithmetic = new TensorArithmetic(Lanes);
        Tensor error = arithmetic.Combine(null, null, coefficients, k);
        Tensor ratio = Ratio(error, y0, y1, options).reshape(Lanes, -1);
        options.Norm.Measure.Of(ratio).to(ScalarType.Float64, CPU).contiguous().data<double>().CopyTo(result);
        return result;
    }

    /// <summary>error / (atol + rtol max(|y0|, |y1|)) component by component.</summary>
    public static Tensor Ratio(Tensor error, Tensor y0, Tensor y1, OdeSolverOptions options)
    {
        Tensor size = maximum(y0.abs(), y1.abs());
        Tensor relative = options.RelativeTolerances is { } r
            ? size * r.to(size.dtype, size.device) : size.Times(options.RelativeTolerance);
        Tensor scale = options.AbsoluteTolerances is { } a
            ? relative.Plus(a.to(size.dtype, size.device)) : relative.Plus(options.AbsoluteTolerance);
        // Above 0, so that a component that is and stays 0 has no error.
        return error / scale.AtLeast(
            size.dtype == ScalarType.Float16 ? 6e-8 : size.dtype == ScalarType.Float64 ? 2.2250738585072014E-308 : 1.17549435E-38);
    }

    public abstract void Dispose();

    /// <summary>Lane-major h w.</summary>
    protected double[] Scale(StepSpan? step, ReadOnlySpan<double> weights, int count)
    {
        var scaled = new double[Lanes * count];
        bool perLane = weights.Length != count;
        for (int lane = 0; lane < Lanes; lane++)
            for (int j = 0; j < count; j++)
                scaled[lane * count + j] = weights[perLane ? lane * count + j : j] * (step is null ? 1 : step.Size[lane]);
        return scaled;
    }
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

    public override Tensor Combine(Tensor? y, StepSpan? step, ReadOnlySpan<double> weights, ReadOnlySpan<Tensor> k)
    {
        Tensor target = Rent(y ?? k[0]);
        StateKernels.Combine(target, y, Scale(step, weights, k.Length), k, Lanes);
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

    public override Tensor Combine(Tensor? y, StepSpan? step, ReadOnlySpan<double> weights, ReadOnlySpan<Tensor> k)
    {
        var active = new List<Tensor>(k.Length);
        var columns = new List<int>(k.Length);
        bool perLane = weights.Length != k.Length;
        for (int j = 0; j < k.Length; j++)
            if (perLane || weights[j] != 0)
            {
                active.Add(k[j]);
                columns.Add(j);
            }
        if (active.Count == 0)
            return y is null ? zeros_like(k[0]).DetachFromDisposeScope() : y.alias().DetachFromDisposeScope();

        using DisposeScope scope = NewDisposeScope();
        // Tracked step sizes multiply in the graph; otherwise the numbers are multiplied in float64 first.
        double[] scaled = Scale(step?.TrackedSize is null ? step : null, weights, k.Length);
        var values = new double[Lanes * columns.Count];
        for (int lane = 0; lane < Lanes; lane++)
            for (int c = 0; c < columns.Count; c++)
                values[lane * columns.Count + c] = scaled[lane * k.Length + columns[c]];
        Tensor w = tensor(values, [Lanes, columns.Count], k[0].dtype, k[0].device);
        if (step?.TrackedSize is { } size)
            w = w * size.unsqueeze(1);
        return Apply(y, w, active).DetachFromDisposeScope();
    }

    public override Tensor CombineTracked(Tensor y, Tensor weights, ReadOnlySpan<Tensor> k)
    {
        using DisposeScope scope = NewDisposeScope();
        return Apply(y, weights, [.. k]).DetachFromDisposeScope();
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

    private Tensor Apply(Tensor? y, Tensor weights, List<Tensor> k)
    {
        Tensor stages = stack(k).reshape(k.Count, Lanes, -1);
        Tensor sum;
        if (Lanes == 1)
        {
            Tensor matrix = stages.reshape(k.Count, -1).t();
            Tensor vector = weights.reshape(-1);
            sum = y is null ? matrix.mv(vector) : y.reshape(-1).addmv(matrix, vector);
        }
        else
        {
            sum = (stages * weights.t().unsqueeze(-1)).sum(dim: 0L);
            if (y is not null)
                sum = sum.Plus(y.reshape(Lanes, -1));
        }
        return sum.reshape(k[0].shape);
    }
}
