namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>A value without derivatives where the graph expects some: whoever asks for them is told why there are none.</summary>
internal sealed class Undifferentiable : autograd.SingleTensorFunction<Undifferentiable>
{
    private const string Key = "reason";

    public override string Name => nameof(Undifferentiable);

    /// <summary>A value that depends on a source in a way that cannot be differentiated.</summary>
    /// <param name="value">The value.</param>
    /// <param name="source">What it depends on; where this has no graph, neither has the result.</param>
    /// <param name="reason">Why there are no derivatives, and what would help.</param>
    public static Tensor Of(Tensor value, Tensor source, string reason) => source.requires_grad ? apply(reason, source, value) : value;

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.set_materialize_grads(false);
        ctx.save_data(Key, vars[0]);
        return ((Tensor)vars[2]).alias();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        Exception? failure = BackwardFailure.Earlier()
            ?? (grad_output.IsInvalid ? null : new NotSupportedException((string)ctx.get_data(Key)));
        if (failure is not null)
            BackwardFailure.Tell(failure, DeviceType.CPU);
        return [null!, null!, null!];
    }
}
