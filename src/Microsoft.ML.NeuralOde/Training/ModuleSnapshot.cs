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
        return new ModuleSnapshot([.. NamedTensors.Of(module).Select(pair => (pair.Name, pair.Tensor.detach().clone().DetachFromDisposeScope()))]);
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

/// <summary>Tensors with names, and arrays of numbers with names.</summary>
internal static class NamedTensors
{
    /// <summary>A module's weights and buffers.</summary>
    public static IEnumerable<(string Name, Tensor Tensor)> Of(nn.Module module) =>
        module.named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter)).Concat(module.named_buffers().Select(pair => (pair.name, pair.buffer)));

    public static NamedArray ToArray(string name, Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor here = tensor.detach().cpu().contiguous();
        return new NamedArray(name, here.shape, here.data<float>().ToArray());
    }

    public static bool IsFinite(Tensor tensor)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        // NaN is the largest number for torch.
        return tensor.numel() == 0 || double.IsFinite(tensor.abs().max().ToDouble());
    }

    /// <exception cref="InvalidDataException">There is no such array, or it has another shape.</exception>
    public static void Copy(IReadOnlyDictionary<string, NamedArray> arrays, string name, Tensor target)
    {
        if (!arrays.TryGetValue(name, out NamedArray? array) || !array.Shape.AsSpan().SequenceEqual(target.shape))
            throw PayloadReader.Damaged($"'{name}' is missing or has the wrong shape");
        using IDisposable noGrad = no_grad();
        using Tensor values = tensor(array.Values, array.Shape, device: CPU);
        target.copy_(values);
    }
}
