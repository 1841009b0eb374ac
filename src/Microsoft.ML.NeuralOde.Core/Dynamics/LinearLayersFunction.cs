namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Linear layers with ReLU between them as one node of the autograd graph, on the kernels.</summary>
internal sealed class LinearLayersFunction : autograd.SingleTensorFunction<LinearLayersFunction>
{
    private const string Key = "layers";

    /// <inheritdoc/>
    public override string Name => nameof(LinearLayersFunction);

    /// <summary>The result of the last layer; the kernels must know what they are given.</summary>
    /// <param name="x">The input, contiguous.</param>
    /// <param name="weights">The weights and biases, contiguous.</param>
    public static Tensor Run(Tensor x, IReadOnlyList<(Tensor Weight, Tensor? Bias)> weights)
    {
        LinearShape[] layers = [.. weights.Select(layer => new LinearShape((int)layer.Weight.size(1), (int)layer.Weight.size(0)))];
        bool isSingle = x.dtype == ScalarType.Float32;
        Tensor result, hidden;
        using (no_grad())
        {
            long rows = x.size(0);
            long width = isSingle ? LinearLayersKernel<float>.HiddenWidth(layers) : LinearLayersKernel<double>.HiddenWidth(layers);
            result = empty([rows, layers[^1].Outputs], x.dtype, x.device);
            hidden = empty([rows * width], x.dtype, x.device);
            if (isSingle)
                Forward<float>(layers, x, weights, hidden, result);
            else
                Forward<double>(layers, x, weights, hidden, result);
        }
        using (hidden)
        {
            Tensor?[] inputs = [x, .. weights.SelectMany(layer => new[] { layer.Weight, layer.Bias })];
            if (!is_grad_enabled() || !Array.Exists(inputs, input => input is { requires_grad: true }))
                return result;
            Tensor attached = apply([new Node(layers, hidden, result), .. inputs]);
            if (!ReferenceEquals(attached, result))
                result.Dispose();
            return attached;
        }
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        ArgumentNullException.ThrowIfNull(vars);
        var node = (Node)vars[0];
        ctx.set_materialize_grads(false);
        Tensor?[] inputs = [.. vars.Skip(1).Cast<Tensor?>()];
        ctx.save_data(Key, new Layers(
            node.Layers, Array.ConvertAll(inputs, input => input is { requires_grad: true }), Array.ConvertAll(inputs, input => input is null)));
        ctx.save_for_backward([node.Hidden, .. inputs.OfType<Tensor>()]);
        return node.Result;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var layers = (Layers)ctx.get_data(Key);
        return BackwardFailure.Guard(
            ctx, grad_output, 1 + layers.Needed.Length, DeviceType.CPU, result => Fill(ctx, layers, grad_output, result));
    }

    private static void Forward<T>(
        LinearShape[] layers, Tensor x, IReadOnlyList<(Tensor Weight, Tensor? Bias)> weights, Tensor hidden, Tensor result)
        where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        LinearLayersKernel<T> kernel = LinearLayersKernel<T>.Rent();
        kernel.Forward(layers, x, weights, hidden, result);
        kernel.Return();
    }

    private static void Backward<T>(
        LinearShape[] layers, Tensor x, IReadOnlyList<Tensor> weights, Tensor hidden, Tensor cotangent, Tensor? input,
        IReadOnlyList<(Tensor? Weight, Tensor? Bias)> gradients)
        where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        LinearLayersKernel<T> kernel = LinearLayersKernel<T>.Rent();
        kernel.Backward(layers, x, weights, hidden, cotangent, input, gradients);
        kernel.Return();
    }

    private static void Fill(autograd.AutogradContext ctx, Layers layers, Tensor cotangent, List<Tensor> result)
    {
        using DisposeScope scope = NewDisposeScope();
        List<Tensor> saved = ctx.get_saved_variables();
        var inputs = new Tensor?[layers.Needed.Length];
        for (int i = 0, next = 1; i < inputs.Length; i++)
            inputs[i] = layers.IsMissing[i] ? null : saved[next++];
        // A graph of the derivatives is wanted: by torch's operations, which have one.
        Tensor?[] gradients = is_grad_enabled()
            ? Differentiate(layers, inputs, cotangent)
            : Differentiate(layers, inputs, saved[0], cotangent);
        for (int i = 0; i < gradients.Length; i++)
            result[1 + i] = gradients[i]?.MoveToOuterDisposeScope()!;
        foreach (Tensor tensor in saved)
            tensor.Dispose();
    }

    private static Tensor?[] Differentiate(Layers layers, Tensor?[] inputs, Tensor hidden, Tensor cotangent)
    {
        Tensor?[] gradients = [.. inputs.Select((input, i) => layers.Needed[i] ? empty(input!.shape, input.dtype, input.device) : null)];
        Tensor given = cotangent.contiguous();
        Tensor[] weights = [.. layers.Shapes.Select((_, l) => inputs[1 + 2 * l]!)];
        (Tensor?, Tensor?)[] parameters = [.. layers.Shapes.Select((_, l) => (gradients[1 + 2 * l], gradients[2 + 2 * l]))];
        if (given.dtype == ScalarType.Float32)
            Backward<float>(layers.Shapes, inputs[0]!, weights, hidden, given, gradients[0], parameters);
        else
            Backward<double>(layers.Shapes, inputs[0]!, weights, hidden, given, gradients[0], parameters);
        return gradients;
    }

    private static Tensor?[] Differentiate(Layers layers, Tensor?[] inputs, Tensor cotangent)
    {
        int count = layers.Shapes.Length;
        var gradients = new Tensor?[inputs.Length];
        var states = new Tensor[count];
        states[0] = inputs[0]!;
        for (int l = 1; l < count; l++)
            states[l] = nn.functional.linear(states[l - 1], inputs[2 * l - 1]!, inputs[2 * l]).relu();
        Tensor delta = cotangent;
        for (int l = count - 1; l >= 0; l--)
        {
            if (layers.Needed[1 + 2 * l])
                gradients[1 + 2 * l] = delta.t().matmul(states[l]);
            if (layers.Needed[2 + 2 * l])
                gradients[2 + 2 * l] = delta.sum([0L]);
            if (l > 0)
                delta = delta.matmul(inputs[1 + 2 * l]!) * states[l].gt(Numbers.Zero);
            else if (layers.Needed[0])
                gradients[0] = delta.matmul(inputs[1]!);
        }
        return gradients;
    }

    private sealed record Node(LinearShape[] Layers, Tensor Hidden, Tensor Result);

    /// <summary>What is known of the layers: which of the input, the weights and the biases need a gradient, and which there are not.</summary>
    private sealed record Layers(LinearShape[] Shapes, bool[] Needed, bool[] IsMissing);
}
