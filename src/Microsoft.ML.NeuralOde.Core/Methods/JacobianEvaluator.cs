namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>∂f/∂y row by row, shape <c>[rows, n, n]</c>: from the user, or column by column through autograd, all rows at once.</summary>
internal static class JacobianEvaluator
{
    /// <summary>The number of rows that f treats independently: the first dimension of states of two or more.</summary>
    public static long Rows(Tensor state) => state.dim() < 2 ? 1 : state.shape[0];

    /// <summary>The Jacobian; the caller's, and without a graph.</summary>
    public static Tensor Evaluate(StepperContext context, Tensor time, Tensor state)
    {
        context.Statistics.Jacobians++;
        using DisposeScope scope = NewDisposeScope();
        long rows = Rows(state);
        long n = state.numel() / Math.Max(1, rows);
        if (context.Options.Jacobian is { } own)
        {
            using IDisposable noGrad = no_grad();
            Tensor given = own(time, state);
            if (given is null || given.numel() != rows * n * n)
                throw new InvalidOperationException(
                    $"The Jacobian has {(given is null ? "no value" : $"shape [{string.Join(", ", given.shape)}]")}; it must have shape [{rows}, {n}, {n}].");
            return given.reshape(rows, n, n).to(state.dtype, state.device).clone().DetachFromDisposeScope();
        }

        using IDisposable grad = enable_grad();
        Tensor y = state.detach().clone().requires_grad_();
        Tensor value = context.RightHandSide.Evaluate(time.detach(), y);
        scope.Attach(value);
        if (!value.requires_grad)
            return zeros([rows, n, n], state.dtype, state.device).DetachFromDisposeScope();
        Tensor flat = value.reshape(rows, n);
        var lines = new Tensor[n];
        for (long i = 0; i < n; i++)
        {
            Tensor derivative = autograd.grad([flat.select(1, i).sum()], [y], retain_graph: i < n - 1, allow_unused: true)[0];
            lines[i] = derivative is null || derivative.IsInvalid ? zeros([rows, n], state.dtype, state.device) : derivative.reshape(rows, n);
        }
        return stack(lines, 1).detach().DetachFromDisposeScope();
    }
}
