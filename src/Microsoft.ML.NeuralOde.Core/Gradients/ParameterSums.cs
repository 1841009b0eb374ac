namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The gradients of the parameters as they add up along a backward sweep.</summary>
internal sealed class ParameterSums : IDisposable
{
    private readonly IReadOnlyList<Tensor> _all;
    private readonly int[] _places;
    private readonly Tensor[] _sums;

    public ParameterSums(IReadOnlyList<Tensor> parameters)
    {
        _all = parameters;
        _places = [.. Enumerable.Range(0, parameters.Count).Where(i => parameters[i].requires_grad)];
        Active = [.. _places.Select(i => parameters[i])];
        _sums = [.. Active.Select(parameter => empty_like(parameter.detach()).DetachFromDisposeScope())];
        TensorLists.Zero(_sums);
    }

    /// <summary>The parameters that need gradients.</summary>
    public IReadOnlyList<Tensor> Active { get; }

    /// <summary>The sums so far, in the order of <see cref="Active"/>.</summary>
    public IReadOnlyList<Tensor> Tensors => _sums;

    /// <summary>Adds weighted derivatives, in the order of <see cref="Active"/>.</summary>
    public void Add(Tensor?[] derivatives, double weight = 1)
    {
        if (Array.TrueForAll(derivatives, derivative => derivative is not null))
        {
            TensorLists.Add(_sums, derivatives!, weight);
            return;
        }
        int[] places = [.. Enumerable.Range(0, _sums.Length).Where(i => derivatives[i] is not null)];
        TensorLists.Add(Array.ConvertAll(places, i => _sums[i]), Array.ConvertAll(places, i => derivatives[i]!), weight);
    }

    /// <summary>Disposes derivatives that were added.</summary>
    public static void Release(Tensor?[] derivatives)
    {
        foreach (Tensor? derivative in derivatives)
            derivative?.Dispose();
    }

    /// <summary>The sums, one place for each parameter, null where none was needed; each tensor a new handle of the caller's.</summary>
    public Tensor?[] Finish()
    {
        var result = new Tensor?[_all.Count];
        for (int i = 0; i < _sums.Length; i++)
            result[_places[i]] = _sums[i].alias();
        return result;
    }

    public void Dispose()
    {
        foreach (Tensor sum in _sums)
            sum.Dispose();
    }
}
