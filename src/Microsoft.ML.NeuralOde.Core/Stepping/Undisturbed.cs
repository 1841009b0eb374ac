namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// Puts back, when it is disposed of, what evaluations changed in passing: torch's random numbers, and buffers of the right-hand side.
/// </summary>
internal sealed class Undisturbed : IDisposable
{
    private readonly RandomState _random = RandomState.Now();
    private readonly BufferState _buffers;
    private bool _isKept;

    /// <param name="equation">The right-hand side that is evaluated.</param>
    public Undisturbed(VectorField equation) => _buffers = new BufferState(equation.Buffers);

    /// <summary>Whether random numbers were drawn since.</summary>
    public bool DrewNumbers => _random.HasMoved;

    /// <summary>Puts back what changed so far.</summary>
    public void Restore()
    {
        _random.Restore();
        _buffers.Restore();
    }

    /// <summary>Leaves things as they are now.</summary>
    public void Keep()
    {
        _random.Dispose();
        _buffers.Dispose();
        _isKept = true;
    }

    public void Dispose()
    {
        if (_isKept)
            return;
        Restore();
        Keep();
    }
}

/// <summary>The state of torch's global generator on the CPU. TorchSharp does not tell that of other devices.</summary>
internal sealed class RandomState : IDisposable
{
    private readonly Tensor _state;

    private RandomState(Tensor state) => _state = state;

    /// <summary>Whether numbers were drawn since, by this thread or another.</summary>
    public bool HasMoved
    {
        get
        {
            using Tensor now = random.get_rng_state();
            return !now.bytes.SequenceEqual(_state.bytes);
        }
    }

    public static RandomState Now() => new(random.get_rng_state().DetachFromDisposeScope());

    public void Restore()
    {
        if (HasMoved)
            random.set_rng_state(_state);
    }

    public void Dispose() => _state.Dispose();
}

/// <summary>The values of buffers, such as the running statistics of batch normalisation.</summary>
internal sealed class BufferState : IDisposable
{
    private readonly (Tensor Buffer, Tensor Copy)[] _copies;

    public BufferState(IEnumerable<Tensor> buffers)
    {
        using IDisposable noGrad = no_grad();
        _copies = [.. buffers.Where(buffer => !buffer.IsInvalid).Select(buffer => (buffer, buffer.clone().DetachFromDisposeScope()))];
    }

    /// <summary>Puts the values back that changed.</summary>
    public void Restore()
    {
        using IDisposable noGrad = no_grad();
        foreach ((Tensor buffer, Tensor copy) in _copies)
            // One that did not change may be part of a graph, which must not see it written to.
            if (!buffer.IsInvalid && !AreEqual(buffer, copy))
                buffer.copy_(copy);
    }

    public void Dispose()
    {
        foreach ((_, Tensor copy) in _copies)
            copy.Dispose();
    }

    private static bool AreEqual(Tensor a, Tensor b)
    {
        using DisposeScope scope = NewDisposeScope();
        return a.eq(b).all().item<bool>();
    }
}
