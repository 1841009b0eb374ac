using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// A right-hand side with arguments of its own for each row of the batch, such as controls or conditions, which are cut to the rows asked
/// for.
/// </summary>
internal sealed class RowArgumentField : VectorField
{
    private readonly Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> _forward;
    private readonly Func<Tensor, Tensor, Tensor> _guarded;
    private readonly IReadOnlyList<Tensor> _arguments;
    private readonly bool _wantsNone;
    private readonly int[]? _rows;

    /// <param name="function">f(t, y, arguments).</param>
    /// <param name="arguments">One entry a row of the batch each; they may get gradients.</param>
    /// <param name="parameters">
    /// What f depends on besides; null for nothing, an empty list where no gradients are wanted of what it does depend on.
    /// </param>
    public RowArgumentField(
        Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> function, IReadOnlyList<Tensor> arguments, IReadOnlyList<Tensor>? parameters)
        : this(
            function, arguments, [.. (parameters ?? []).Distinct<Tensor>(ReferenceEqualityComparer.Instance), .. arguments], function, null,
            parameters is { Count: 0 }, null)
    {
    }

    /// <param name="module">What f belongs to; its parameters may get gradients.</param>
    /// <param name="forward">f(t, y, arguments).</param>
    /// <param name="arguments">One entry a row of the batch each; they may get gradients.</param>
    public RowArgumentField(Module module, Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> forward, IReadOnlyList<Tensor> arguments)
        : this(forward, arguments, [.. module.parameters(), .. arguments], module, module, false, null)
    {
    }

    private RowArgumentField(
        Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> forward, IReadOnlyList<Tensor> arguments, IReadOnlyList<Tensor> parameters,
        object source, Module? module, bool wantsNone, int[]? rows)
    {
        _forward = forward;
        _guarded = UserFunction.RightHandSide(Call);
        _arguments = arguments;
        _wantsNone = wantsNone;
        _rows = rows;
        Parameters = parameters;
        Source = source;
        Module = module;
    }

    public override IReadOnlyList<Tensor> Parameters { get; }

    public override Module? Module { get; }

    public override bool MayHideParameters => base.MayHideParameters && !_wantsNone;

    protected override object Source { get; }

    public override Tensor Evaluate(Tensor time, Tensor state) => _guarded(time, state);

    public override VectorField OfRows(int[]? rows)
    {
        if (rows is null || _arguments.Count == 0)
            return this;
        int[] chosen = _rows is null ? rows : Array.ConvertAll(rows, row => _rows[row]);
        return new RowArgumentField(_forward, _arguments, Parameters, Source, Module, _wantsNone, chosen);
    }

    /// <summary>
    /// Views of the arguments, of which none leads to another in the graph. Derivatives with respect to a tensor include those by way of
    /// what is made of it: of two arguments that are one tensor, or made of each other, they would be counted twice.
    /// </summary>
    public static IReadOnlyList<Tensor> Apart(IReadOnlyList<Tensor> arguments) =>
        [.. arguments.Select(argument => argument.requires_grad && is_grad_enabled()
            ? argument.view_as(argument).DetachFromDisposeScope() : argument)];

    private Tensor Call(Tensor time, Tensor state) => _forward(time, state, Arguments());

    /// <summary>The arguments of the rows: selected at each evaluation, so that the graph of each leads back to the whole.</summary>
    private IReadOnlyList<Tensor> Arguments()
    {
        if (_rows is null)
            return _arguments;
        using Tensor index = tensor(Array.ConvertAll(_rows, row => (long)row), ScalarType.Int64, _arguments[0].device);
        return [.. _arguments.Select(argument => argument.index_select(0, index))];
    }
}
