namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>A right-hand side that is a function, of which no more is known than its parameters, if those.</summary>
internal sealed class FunctionField : VectorField
{
    private readonly Func<Tensor, Tensor, Tensor> _function;
    private readonly bool _wantsNone;

    /// <param name="function">f(t, y).</param>
    /// <param name="parameters">What f depends on; null where that is not known, an empty list where no gradients are wanted.</param>
    public FunctionField(Func<Tensor, Tensor, Tensor> function, IReadOnlyList<Tensor>? parameters = null)
        : this(function, function, parameters)
    {
    }

    private FunctionField(Func<Tensor, Tensor, Tensor> function, object source, IReadOnlyList<Tensor>? parameters)
    {
        _function = UserFunction.RightHandSide(function);
        _wantsNone = parameters is { Count: 0 };
        Source = source;
        // Named twice, a tensor would get its gradient twice.
        Parameters = [.. (parameters ?? []).Distinct<Tensor>(ReferenceEqualityComparer.Instance)];
        NamesParameters = parameters is not null;
    }

    public override IReadOnlyList<Tensor> Parameters { get; }

    public override bool NamesParameters { get; }

    public override bool MayHideParameters => !_wantsNone;

    protected override object Source { get; }

    /// <summary>The right-hand side of a state of several tensors, which lies in one.</summary>
    /// <param name="function">f(t, parts) returns one derivative a part.</param>
    /// <param name="layout">How the parts lie in the state.</param>
    /// <param name="parameters">As for a state of one tensor.</param>
    public static FunctionField OfParts(
        Func<Tensor, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> function, StateLayout layout, IReadOnlyList<Tensor>? parameters) =>
        new((t, y) => layout.PackDerivative(function(t, layout.Unpack(y)), y.dim() == 0 ? 1 : y.shape[0]), function, parameters);

    public override Tensor Evaluate(Tensor time, Tensor state) => _function(time, state);
}
