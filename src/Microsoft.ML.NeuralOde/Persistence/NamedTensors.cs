namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>Tensors with names, and arrays of numbers with names.</summary>
internal static class NamedTensors
{
    /// <summary>A module's weights and buffers.</summary>
    public static IEnumerable<(string Name, Tensor Tensor)> Of(nn.Module module) =>
        module.named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter))
            .Concat(module.named_buffers().Select(pair => (pair.name, pair.buffer)));

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

    /// <summary>Copies of tensors' numbers.</summary>
    public static IReadOnlyList<NamedArray> ToArrays(IEnumerable<(string Name, Tensor Tensor)> tensors) =>
        [.. tensors.Select(pair => ToArray(pair.Name, pair.Tensor))];

    /// <summary>Copies numbers into tensors.</summary>
    /// <param name="targets">The tensors.</param>
    /// <param name="arrays">The numbers; others may be among them.</param>
    /// <param name="misfit">Says what is wrong with the array of a name, given as the rest of a sentence.</param>
    /// <param name="prefix">What the arrays' names have in front.</param>
    public static void Fill(
        IEnumerable<(string Name, Tensor Tensor)> targets, IReadOnlyDictionary<string, NamedArray> arrays,
        Func<string, string, Exception> misfit, string prefix = "")
    {
        using IDisposable noGrad = no_grad();
        foreach ((string name, Tensor target) in targets)
        {
            if (!arrays.TryGetValue(prefix + name, out NamedArray? array))
                throw misfit(name, "are missing");
            if (!array.Shape.AsSpan().SequenceEqual(target.shape))
                throw misfit(name, $"have the shape [{string.Join(", ", array.Shape)}] instead of [{string.Join(", ", target.shape)}]");
            using Tensor values = tensor(array.Values, array.Shape, device: CPU);
            target.copy_(values);
        }
    }

    /// <summary>The same where arrays that do not fit mean a damaged file.</summary>
    /// <exception cref="InvalidDataException">An array is missing or has another shape.</exception>
    public static void Fill(
        IEnumerable<(string Name, Tensor Tensor)> targets, IReadOnlyDictionary<string, NamedArray> arrays, string prefix = "") =>
        Fill(targets, arrays, static (name, what) => PayloadReader.Damaged($"the weights '{name}' {what}"), prefix);
}
