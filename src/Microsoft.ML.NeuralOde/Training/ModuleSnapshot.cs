using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>A copy of a module's weights and buffers.</summary>
internal sealed class ModuleSnapshot : IDisposable
{
    private readonly List<(string Name, Tensor Copy)> _copies;

    private ModuleSnapshot(List<(string, Tensor)> copies) => _copies = copies;

    /// <summary>The number of weights' and buffers' tensors.</summary>
    public int Count => _copies.Count;

    public static ModuleSnapshot Of(nn.Module module)
    {
        // Tensors in the middle of a chain of calls must not be finalised while native code reads them.
        using DisposeScope scope = NewDisposeScope();
        return new ModuleSnapshot(
            [.. NamedTensors.Of(module).Select(pair => (pair.Name, pair.Tensor.detach().clone().DetachFromDisposeScope()))]);
    }

    /// <summary>Puts the copies back into the module.</summary>
    public void Restore(nn.Module module)
    {
        using IDisposable noGrad = no_grad();
        foreach (((string _, Tensor target), (string _, Tensor copy)) in NamedTensors.Of(module).Zip(_copies))
            target.copy_(copy);
    }

    public IEnumerable<NamedArray> ToArrays(string prefix) => _copies.Select(pair => NamedTensors.ToArray(prefix + pair.Name, pair.Copy));

    public void Dispose() => _copies.ForEach(pair => pair.Copy.Dispose());
}
