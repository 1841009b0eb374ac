using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// What the methods share whose steps can be undone: they carry a second state, the twin, beside the first, and both together determine
/// both of the step before.
/// </summary>
internal abstract class ReversibleStepper(StepperContext context) : OneStepStepper(context), ITwin
{
    /// <summary>
    /// Without error control the states may differ by this part of the state, or of its change in the step where that is larger.
    /// </summary>
    private const double AllowedDrift = 0.05;

    /// <summary>Differences below this part of the largest state so far do not matter.</summary>
    private const double NegligibleDrift = 1e-6;

    private Tensor? _twin;
    private double[]? _largest;

    /// <summary>The twin where the stepper stands: at a fresh start the state itself.</summary>
    public Tensor Twin => _twin ??= Context.Arithmetic.Copy(State);

    /// <inheritdoc/>
    public override ITwin? Twins => this;

    /// <inheritdoc/>
    public abstract Tensor NextTwin { get; }

    /// <inheritdoc/>
    public bool IsFresh { get; private set; } = true;

    public override void Keep(int[] lanes)
    {
        base.Keep(lanes);
        if (_twin is not null)
            _twin = Context.Arithmetic.Keep(_twin, lanes);
    }

    /// <summary>Whether the steps follow the error, so that the tolerances say how far the states may be apart.</summary>
    protected bool IsControlled => Context.Options is { StepSize: null, Method.IsAdaptive: true };

    /// <summary>What to tell the user where the states are too far apart.</summary>
    protected abstract string DriftRemark { get; }

    /// <summary>Gives <see cref="NextTwin"/> away.</summary>
    protected abstract Tensor TakeNextTwin();

    /// <summary>
    /// How far the states are apart at the step's end, where there is no error control to notice; null if that is no matter.
    /// </summary>
    protected StateDrift? FindDrift(Tensor next, Tensor nextTwin)
    {
        if (IsControlled || next.numel() == 0)
            return null;
        double[] before = RowSizes(State), behind = RowSizes(next), change = RowSizes(next, State), apart = RowSizes(next, nextTwin);
        _largest ??= new double[before.Length];
        var rows = new List<long>();
        for (int row = 0; row < apart.Length; row++)
        {
            double size = Math.Max(before[row], behind[row]);
            _largest[row] = Math.Max(_largest[row], size);
            // NaN is the business of others.
            if (apart[row] > Math.Max(AllowedDrift * Math.Max(size, change[row]), NegligibleDrift * _largest[row]))
                rows.Add(row);
        }
        return rows.Count == 0 ? null : new StateDrift(DriftRemark, next.dim() < 2 ? [] : [.. rows.Take(10)]);
    }

    /// <summary>The largest number of each row, or how far it is at most from another.</summary>
    private static double[] RowSizes(Tensor state, Tensor? from = null)
    {
        long rows = JacobianEvaluator.Rows(state);
        if (StateKernels.Supports(state) && state.is_contiguous() && from?.is_contiguous() != false)
        {
            var sizes = new double[rows];
            StateKernels.RowSizes(sizes, state, from);
            return sizes;
        }
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor all = (from is null ? state : state - from).detach().reshape(rows, -1);
        return all.abs().amax(1).to(ScalarType.Float64).cpu().data<double>().ToArray();
    }

    protected override void Moved(bool[]? mask)
    {
        Tensor next = TakeNextTwin();
        IsFresh = false;
        if (mask is null || Array.TrueForAll(mask, accepted => accepted))
        {
            Release(ref _twin);
            _twin = next;
        }
        else
        {
            _twin = Select(mask, next, Twin);
        }
    }

    protected override void Forget()
    {
        IsFresh = true;
        Release(ref _twin);
        _largest = null;
    }
}
