namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>
/// A network that several threads use while one of them may dispose of it: from then on nobody gets it any more, and its memory is freed
/// when the last one that has it is done. Without this, native code would read weights that are gone.
/// </summary>
/// <remarks>A network may have several owners, see <see cref="Share"/>: each disposes for itself alone.</remarks>
internal sealed class SharedNetwork<T> : IDisposable
    where T : class, IDisposable
{
    private readonly Counted _counted;
    private readonly Type _owner;
    private int _isDisposed;

    /// <param name="network">The network; owned from now on.</param>
    /// <param name="owner">The type of what users dispose of.</param>
    public SharedNetwork(T network, Type owner)
        : this(new Counted(network), owner)
    {
    }

    private SharedNetwork(Counted counted, Type owner) => (_counted, _owner) = (counted, owner);

    /// <summary>The network for those who know that nobody disposes of it meanwhile.</summary>
    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public T Value
    {
        get
        {
            ThrowIfDisposed();
            return _counted.Network;
        }
    }

    /// <summary>The network for as long as the result is not disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public Loan Borrow()
    {
        Enter();
        return new Loan(_counted);
    }

    /// <summary>Another owner of the network, which lives until both are disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public SharedNetwork<T> Share()
    {
        Enter();
        return new SharedNetwork<T>(_counted, _owner);
    }

    /// <exception cref="ObjectDisposedException">The owner was disposed of.</exception>
    public void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, _owner);

    /// <summary>Frees the network, at once or when the last loan and the last other owner end.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            _counted.Leave();
    }

    private void Enter() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0 || !_counted.TryEnter(), _owner);

    /// <summary>One use of the network.</summary>
    public readonly struct Loan : IDisposable
    {
        private readonly Counted _counted;

        internal Loan(Counted counted) => _counted = counted;

        public T Network => _counted.Network;

        public void Dispose() => _counted.Leave();
    }

    /// <summary>The network and the number of its users; each owner that has not disposed is one.</summary>
    internal sealed class Counted(T network)
    {
        private int _users = 1;

        public T Network { get; } = network;

        /// <summary>Counts one more user; false where the network is gone.</summary>
        public bool TryEnter()
        {
            int users = Volatile.Read(ref _users);
            while (users > 0)
            {
                int found = Interlocked.CompareExchange(ref _users, users + 1, users);
                if (found == users)
                    return true;
                users = found;
            }
            return false;
        }

        public void Leave()
        {
            if (Interlocked.Decrement(ref _users) == 0)
                Network.Dispose();
        }
    }
}
