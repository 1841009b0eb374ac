namespace Microsoft.ML.NeuralOde.Training;

/// <summary>A copy of a module's weights and buffers.</summary>
internal sealed class ModuleSnapshot : IDisposable
{
    private readonly List<Tensor> _copies;

    private ModuleSnapshot(List<Tensor> copies) => _copies = copies;

    public static ModuleSnapshot Of(nn.Module module) => new([.. Named(module).Select(pair => pair.Tensor.detach().clone().DetachFromDisposeScope())]);

    /// <summary>Puts the copies back into the module.</summary>
    public void Restore(nn.Module module)
    {
        using IDisposable noGrad = no_grad();
        foreach (((string _, Tensor target), Tensor copy) in Named(module).Zip(_copies))
            target.copy_(copy);
    }

    public void Dispose() => _copies.ForEach(copy => copy.Dispose());

    private static IEnumerable<(string Name, Tensor Tensor)> Named(nn.Module module) =>
        module.named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter)).Concat(module.named_buffers().Select(pair => (pair.name, pair.buffer)));
}
