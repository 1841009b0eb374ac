namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// What the methods share whose steps can be undone: they carry a second state, the twin, beside the first, and both together determine both of
/// the step before.
/// </summary>
internal abstract class ReversibleStepper(StepperContext context) : OneStepStepper(context)
{
    private Tensor? _twin;

    /// <summary>The twin where the stepper stands: at a fresh start the state itself.</summary>
    public Tensor Twin => _twin ??= Context.Arithmetic.Copy(State);

    /// <summary>The twin at the end of the attempted step.</summary>
    public abstract Tensor NextTwin { get; }

    /// <summary>Whether no step has been taken since the last <see cref="Stepper.Start"/>.</summary>
    public bool IsFresh { get; private set; } = true;

    public override void Keep(int[] lanes)
    {
        base.Keep(lanes);
        if (_twin is not null)
            _twin = Context.Arithmetic.Keep(_twin, lanes);
    }

    /// <summary>Gives <see cref="NextTwin"/> away.</summary>
    protected abstract Tensor TakeNextTwin();

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
    }
}
