namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// Which rows of the batch the right-hand side is being asked for: all, or, where rows have their own steps, those that are not finished. Whoever
/// evaluates it says so here, and arguments of single rows are cut to them.
/// </summary>
internal sealed class RowSelection
{
    /// <summary>Whether there are such arguments.</summary>
    public bool HasArguments { get; init; }

    /// <summary>The rows; null for all, in their order.</summary>
    public int[]? Rows { get; set; }

    /// <summary>The selected rows of some tensors, which have one a batch row.</summary>
    public IReadOnlyList<Tensor> Of(IReadOnlyList<Tensor> arguments)
    {
        if (Rows is null || arguments.Count == 0)
            return arguments;
        using Tensor index = tensor(Array.ConvertAll(Rows, row => (long)row), ScalarType.Int64, arguments[0].device);
        return [.. arguments.Select(argument => argument.index_select(0, index))];
    }
}
