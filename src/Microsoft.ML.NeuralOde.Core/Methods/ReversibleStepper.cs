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
    private Tensor? _largest;

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
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long rows = JacobianEvaluator.Rows(next);
        Tensor change = Size(next - State);
        Tensor size = maximum(Size(State), Size(next));
        Tensor largest = _largest is null ? size : maximum(_largest, size);
        _largest?.Dispose();
        _largest = largest.clone().DetachFromDisposeScope();
        Tensor allowed = maximum(maximum(size, change).Times(AllowedDrift), largest.Times(NegligibleDrift));
        Tensor excess = Size(next - nextTwin) / allowed;
        // NaN is the business of others.
        Tensor apart = excess.gt(Numbers.One);
        return apart.any().item<bool>()
            ? new StateDrift(DriftRemark, next.dim() < 2 ? [] : [.. apart.nonzero().reshape(-1).to(CPU).data<long>().ToArray().Take(10)])
            : null;

        Tensor Size(Tensor state) => state.detach().reshape(rows, -1).abs().amax(1);
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
        _largest?.Dispose();
        _largest = null;
    }
}
