namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The fused flow as a node of the autograd graph.</summary>
internal sealed class BlockFlowFunction : autograd.SingleTensorFunction<BlockFlowFunction>
{
    private const string Key = "shape";

    /// <inheritdoc/>
    public override string Name => nameof(BlockFlowFunction);

    /// <summary>The states; see <see cref="BlockFlow.Run"/>.</summary>
    public static Tensor Run(Tensor initial, Tensor features, Tensor weights, int block, bool affine)
    {
        var shape = new Shape(block, (nint)initial.size(1), (nint)initial.size(0), (nint)features.size(0), affine);
        Tensor states;
        Tensor inOrder = features.detach().contiguous();
        Tensor matrices = weights.detach().contiguous();
        using (no_grad())
        {
            states = empty([shape.Steps + 1, shape.Rows, shape.Width], initial.dtype, initial.device);
            states.select(0, 0).copy_(initial.detach());
            if (initial.dtype == ScalarType.Float32)
                Steps<float>(shape).Forward(states, inOrder, matrices);
            else
                Steps<double>(shape).Forward(states, inOrder, matrices);
        }
        if (!is_grad_enabled() || !(initial.requires_grad || features.requires_grad || weights.requires_grad))
            return states;
        return apply(new Node(shape, states, inOrder, matrices), initial, features, weights);
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        ArgumentNullException.ThrowIfNull(vars);
        var run = (Node)vars[0];
        ctx.set_materialize_grads(false);
        ctx.save_data(Key, (run.Shape, vars[2] is Tensor { requires_grad: true }, ((Tensor)vars[1]).requires_grad));
        ctx.save_for_backward([run.States.detach(), run.Features, run.Weights]);
        return run.States;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) =>
        BackwardFailure.Guard(ctx, grad_output, inputs: 4, DeviceType.CPU, result => Fill(ctx, grad_output, result));

    private static void Fill(autograd.AutogradContext ctx, Tensor gradient, List<Tensor> result)
    {
        if (is_grad_enabled())
            throw new NotSupportedException(
                "The gradient of a linear controlled equation was asked for with a graph of its own (create_graph: true), for second "
                + "derivatives, which it does not have.");
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (Shape shape, bool wantsFeatures, bool _) = ((Shape, bool, bool))ctx.get_data(Key);
        List<Tensor> saved = ctx.get_saved_variables();
        Tensor given = gradient.contiguous();
        (Tensor initial, Tensor? features, Tensor weights) = gradient.dtype == ScalarType.Float32
            ? Steps<float>(shape).Backward(given, saved[0], saved[1], saved[2], wantsFeatures)
            : Steps<double>(shape).Backward(given, saved[0], saved[1], saved[2], wantsFeatures);
        result[1] = initial.DetachFromDisposeScope();
        result[2] = features?.DetachFromDisposeScope()!;
        result[3] = weights.DetachFromDisposeScope();
        foreach (Tensor tensor in saved)
            tensor.Dispose();
    }

    private static BlockFlowSteps<T> Steps<T>(Shape shape)
        where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T> =>
        new(shape.Block, shape.Width, shape.Rows, shape.Steps, shape.Affine);

    private sealed record Shape(int Block, nint Width, nint Rows, nint Steps, bool Affine);

    private sealed record Node(Shape Shape, Tensor States, Tensor Features, Tensor Weights);
}
