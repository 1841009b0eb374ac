namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>
/// A network that several threads use while one of them may dispose of it: from then on nobody gets it any more, and its memory is freed
/// when the last one that has it is done. Without this, native code would read weights that are gone.
/// </summary>
/// <param name="network">The network; owned from now on.</param>
/// <param name="owner">The type of what users dispose of.</param>
internal sealed class SharedNetwork<T>(T network, Type owner) : IDisposable
    where T : class, IDisposable
{
    private readonly T _network = network;

    // The owner counts as one user, until it disposes.
    private int _users = 1;
    private int _isDisposed;

    /// <summary>The network for those who know that nobody disposes of it meanwhile.</summary>
    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public T Value
    {
        get
        {
            ThrowIfDisposed();
            return _network;
        }
    }

    /// <summary>The network for as long as the result is not disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public Loan Borrow()
    {
        int users = Volatile.Read(ref _users);
        while (true)
        {
            ObjectDisposedException.ThrowIf(users == 0 || Volatile.Read(ref _isDisposed) != 0, owner);
            int found = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (found == users)
                return new Loan(this);
            users = found;
        }
    }

    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, owner);

    /// <summary>Frees the network, at once or when the last loan ends.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            Leave();
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
            _network.Dispose();
    }

    /// <summary>One use of the network.</summary>
    public readonly struct Loan(SharedNetwork<T> shared) : IDisposable
    {
        public T Network => shared._network;

        public void Dispose() => shared.Leave();
    }

}
